#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Sum, Op) {
  auto naive = [](Inputs in) {
    double s = 0;
    for (double v : in[0].to_vector<double>()) s += v;
    return std::vector<double>{s};
  };
  // Mean 1, so that the sum's relative error measures the summation and not the luck of a
  // cancellation. Probes: y is of order n and its rounding, 1e-16 n / h with h = 2e-5, of order
  // 1e-11 n.
  for (Shape shape :
       {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{2, 1024}, Shape{3, 40001}})
    check_op("sum", [](Inputs in) { return ops::sum(in[0]); }, {randn(shape, 1, 1)},
             {.reference = naive,
              .gradient_tolerance = 2e-8 + 1e-11 * double(shape.numel()),
              .max_probes = 40});
}

TEST(Sum, OfNothingIsZero) {
  check_op("sum", [](Inputs in) { return ops::sum(in[0]); }, {randn({0, 5})},
           {.reference = [](Inputs) { return std::vector<double>{0}; }, .may_be_zero = true});
}

// A lane adds 2048 / lanes <= 512 numbers of like size in f32: well below 512 roundings, however
// many blocks there are. Adding one by one would stop at 2^24.
TEST(Sum, FloatErrorDoesNotGrowWithLength) {
  const int64_t n = 20'000'003;
  EXPECT_NEAR(ops::sum(Tensor::full({n}, 0.1f)).item<float>() / (double(0.1f) * double(n)), 1,
              512 * 0x1p-24);
  EXPECT_EQ(ops::sum(Tensor::full({1 << 25}, 1)).item<float>(), float(1 << 25));
}

// On the GPU 4 numbers are added in f32, then in double.
TEST(Sum, OnTheGpuTheErrorDoesNotGrowWithLength) {
  if (!cuda::available()) return;
  const int64_t n = 1'000'003;
  EXPECT_NEAR(ops::sum(Tensor::full({n}, 0.1f, DType::f32, Device::cuda)).item<float>() /
                  (double(0.1f) * double(n)),
              1, 4 * 0x1p-24);
}

// Nothing waits for the GPU on the way forward or back: a graph refuses what does.
TEST(Sum, ItsGradientCanBeRecorded) {
  if (!cuda::available()) return;
  const Tensor x = leaf(Tensor::full({2, 3}, 1, DType::f32, Device::cuda));
  const Tensor dy = Tensor::full({}, 1, DType::f32, Device::cuda);
  cuda::Graph graph;
  Tensor dx;
  graph.capture([&] {
    clear_grad(x);
    backward(ops::sum(x), dy);
    dx = grad(x);
  });
  for (float upstream : {2.f, -3.f}) {
    dy.fill(upstream);
    graph.launch();
    EXPECT_EQ(dx.to_vector<float>(), std::vector<float>(6, upstream));
  }
}

TEST(Sum, Errors) {
  expect_error([] { ops::sum({}); }, {"sum", "undefined"});
  expect_error([] { ops::sum(Tensor::zeros({2}, DType::i64)); }, {"sum", "i64"});
}

}  // namespace rmt::test
