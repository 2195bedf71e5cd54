#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/embedding.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

std::vector<double> naive_embedding(Inputs in) {
  const int64_t C = in[0].dim(1);
  std::vector<double> y;
  for (int64_t index : in[1].to_vector<int64_t>())
    for (int64_t c = 0; c < C; ++c) y.push_back(in[0].data<double>()[index * C + c]);
  return y;
}

// Rows that come often, seldom and never: squares modulo V.
Tensor some_indices(const Shape& shape, int64_t V) {
  Tensor x = Tensor::empty(shape, DType::i64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<int64_t>()[i] = (i * i + 3 * i) % V;
  return x;
}

}  // namespace

// The third input says the dtype of the activations: in bf16 the table is in f32, and y rounded.
TEST(Embedding, Op) {
  struct Case {
    int64_t V, C;
    Shape indices;
  };
  for (const Case& c : std::vector<Case>{{1, 1, {1}},
                                         {13, 7, {}},
                                         {7, 13, {49}},
                                         {49, 57, {2, 7}},
                                         {13, 32, {3, 5, 7}},
                                         {5, 300, {13, 7}},
                                         {3, 8, {1000}},
                                         {5, 4, {0, 3}}})
    check_op("embedding", [](Inputs in) { return ops::embedding(in[0], in[1], in[2].dtype()); },
             {randn({c.V, c.C}, 1), some_indices(c.indices, c.V), randn({1})},
             {.reference = naive_embedding,
              .differentiable = {true, false, false},
              .parameters = {true, false, false},
              .max_probes = 60});
}

// A hundred thousand rows fall together in each sum: it is as exact as if there were few.
TEST(Embedding, TheErrorOfTheGradientDoesNotGrowWithTheRows) {
  const int64_t n = 100'000;
  const Tensor table = leaf(Tensor::zeros({2, 8})), indices = Tensor::full({n}, 1, DType::i64);
  backward(ops::embedding(table, indices), Tensor::full({n, 8}, 0.1f));
  const std::vector<float> dtable = grad(table).to_vector<float>();
  for (size_t c = 0; c < 8; ++c) {
    EXPECT_EQ(dtable[c], 0);
    // 128 numbers are added in f32, at most half as many roundings of their sum on average.
    EXPECT_NEAR(dtable[8 + c] / (double(0.1f) * double(n)), 1, 64 * 0x1p-24);
  }
}

TEST(Embedding, OnTheGpuAnIndexOutsideIsNan) {
  if (!cuda::available()) return;
  // Its last row is there, but it is no row of the table.
  const Tensor rows = randn({4, 4}, 1).to(DType::f32).to(Device::cuda);
  const Tensor table = leaf(rows.slice(0, 3));
  const Tensor indices = Tensor::from<int64_t>({2, 3, -1, 0, int64_t(1) << 40}, {5});
  const Tensor y = ops::embedding(table, indices.to(Device::cuda));
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(std::isnan(y.to_vector<float>()[size_t(i)]), i / 4 != 0 && i / 4 != 3);
  backward(y, Tensor::full({5, 4}, 1, DType::f32, Device::cuda));
  EXPECT_EQ(grad(table).to_vector<float>(),
            (std::vector<float>{1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}));
}

TEST(Embedding, Errors) {
  const Tensor table = randn({3, 4}), indices = Tensor::zeros({2, 5}, DType::i64);
  expect_error([&] { ops::embedding({}, indices); }, {"embedding", "table is undefined"});
  expect_error([&] { ops::embedding(table, {}); }, {"embedding", "indices is undefined"});
  expect_error([&] { ops::embedding(randn({3}), indices); }, {"embedding", "(3)", "(V, C)"});
  expect_error([&] { ops::embedding(table, randn({2})); }, {"embedding", "f64", "i64"});
  expect_error([&] { ops::embedding(table, indices, DType::f32); }, {"embedding", "f64", "f32"});
  expect_error([&] { ops::embedding(table.to(DType::f32), indices, DType::bf16); }, {"bf16"});
  for (int64_t wrong : {-1, 3}) {
    indices.data<int64_t>()[7] = wrong;
    expect_error([&] { ops::embedding(table, indices); },
                 {"embedding", str("index ", wrong), "place 7", "0 to 2"});
  }
}

}  // namespace rmt::test
