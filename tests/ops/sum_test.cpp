#include <gtest/gtest.h>

#include "core/cuda/device.h"
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

TEST(Sum,
     FloatErrorDoesNotGrowWithLength) {  // a lane adds 2048 / lanes <= 512 numbers of like size in
                                         // f32: well below 512 roundings, however many blocks
  const int64_t n = 20'000'003;
  EXPECT_NEAR(ops::sum(Tensor::full({n}, 0.1f)).item<float>() / (double(0.1f) * double(n)), 1,
              512 * 0x1p-24);
  EXPECT_EQ(ops::sum(Tensor::full({1 << 25}, 1)).item<float>(),
            float(1 << 25));  // adding one by one stops at 2^24
}

TEST(
    Sum,
    OnTheGpuTheErrorDoesNotGrowWithLength) {  // of 4 numbers f32 is added up in f32, then in double
  if (!cuda::available()) return;
  const int64_t n = 1'000'003;
  EXPECT_NEAR(ops::sum(Tensor::full({n}, 0.1f, DType::f32, Device::cuda)).item<float>() /
                  (double(0.1f) * double(n)),
              1, 4 * 0x1p-24);
}

TEST(Sum, Errors) {
  expect_error([] { ops::sum({}); }, {"sum", "undefined"});
  expect_error([] { ops::sum(Tensor::zeros({2}, DType::i64)); }, {"sum", "i64"});
}

}  // namespace rmt::test
