#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/gather_rows.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

std::vector<double> naive(Inputs in) {
  const int64_t C = in[0].dim(1);
  std::vector<double> y;
  for (int64_t row : in[1].to_vector<int64_t>())
    for (int64_t c = 0; c < C; ++c) y.push_back(in[0].data<double>()[row * C + c]);
  return y;
}

// Rows that come often, seldom and never: squares modulo N. Or each once, the last one first.
Tensor some_rows(int64_t M, int64_t N, bool repeated) {
  Tensor index = Tensor::empty({M}, DType::i64);
  for (int64_t i = 0; i < M; ++i)
    index.data<int64_t>()[i] = repeated ? (i * i + 3 * i) % N : N - 1 - i;
  return index;
}

}  // namespace

TEST(GatherRows, Op) {
  struct Case {
    int64_t N, C, M;
  };
  for (const Case& c : std::vector<Case>{{1, 1, 1},
                                         {13, 7, 7},
                                         {57, 49, 57},
                                         {57, 256, 13},
                                         {300, 1, 300},
                                         {5000, 8, 49},
                                         {7, 4, 0}})
    for (bool repeated : {false, true})
      check_op("gather_rows", [](Inputs in) { return ops::gather_rows(in[0], in[1]); },
               {randn({c.N, c.C}, 1), some_rows(c.M, c.N, repeated)},
               {.reference = naive, .max_probes = 60});
  check_op("gather_rows", [](Inputs in) { return ops::gather_rows(in[0], in[1]); },
           {randn({3, 8}, 1), some_rows(1000, 3, true)}, {.reference = naive});
}

TEST(GatherRows, OnTheGpuAnIndexOutsideIsNan) {
  if (!cuda::available()) return;
  const Tensor x = leaf(randn({3, 4}, 1).to(DType::f32).to(Device::cuda));
  const Tensor index = Tensor::from<int64_t>({2, 3, -1, 0, int64_t(1) << 40}, {5});
  const Tensor y = ops::gather_rows(x, index.to(Device::cuda));
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(std::isnan(y.detach().to_vector<float>()[size_t(i)]), i / 4 != 0 && i / 4 != 3);
  backward(y, Tensor::full({5, 4}, 1, DType::f32, Device::cuda));
  EXPECT_EQ(grad(x).to_vector<float>(), (std::vector<float>{1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}));
}

TEST(GatherRows, Errors) {
  const Tensor x = randn({3, 4}), index = Tensor::zeros({5}, DType::i64);
  expect_error([&] { ops::gather_rows({}, index); }, {"gather_rows", "x is undefined"});
  expect_error([&] { ops::gather_rows(x, {}); }, {"gather_rows", "index is undefined"});
  expect_error([&] { ops::gather_rows(randn({3}), index); }, {"(3)", "(N, C)"});
  expect_error([&] { ops::gather_rows(x, randn({2})); }, {"f64 (2)", "i64 (M)"});
  for (int64_t wrong : {-1, 3}) {
    index.data<int64_t>()[2] = wrong;
    expect_error([&] { ops::gather_rows(x, index); },
                 {"gather_rows", str("index 2 is ", wrong), "0 ... 2"});
  }
}

}  // namespace rmt::test
