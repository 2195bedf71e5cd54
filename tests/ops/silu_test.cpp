#include <gtest/gtest.h>

#include <cmath>

#include "ops/silu.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Silu, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = v / (1 + std::exp(-v));
    return y;
  };
  for (Shape shape : {Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("silu", [](Inputs in) { return ops::silu(in[0]); }, {randn(shape, 1, 0, 3)},
             {.reference = naive, .max_probes = 100});
}

TEST(Silu, FarFromZero) {
  Tensor y = ops::silu(Tensor::from<float>({-1e4f, -100, 0, 100, 1e4f}, {5}));
  // exp stops somewhere above e^88, so the left tail is a product of x and some number below e^-88
  // instead of 0.
  EXPECT_NEAR(y.data<float>()[0], 0, 1e4 * std::exp(-88.0));
  EXPECT_NEAR(y.data<float>()[1], 0, 1e2 * std::exp(-88.0));
  EXPECT_EQ(y.data<float>()[2], 0);
  EXPECT_EQ(y.data<float>()[3], 100);
  EXPECT_EQ(y.data<float>()[4], 1e4f);
}

TEST(Silu, Errors) {
  expect_error([] { ops::silu({}); }, {"silu", "undefined"});
  expect_error([] { ops::silu(Tensor::zeros({2}, DType::i64)); }, {"silu", "i64"});
}

}  // namespace rmt::test
