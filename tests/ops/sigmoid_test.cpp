#include <gtest/gtest.h>

#include <cmath>

#include "ops/sigmoid.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Sigmoid, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = 1 / (1 + std::exp(-v));
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("sigmoid", [](Inputs in) { return ops::sigmoid(in[0]); }, {randn(shape, 1, 0, 3)},
             {.reference = naive, .max_probes = 100});
}

TEST(Sigmoid, FarFromZero) {
  const Tensor y = ops::sigmoid(Tensor::from<float>({-1e30f, -100, 0, 100, 1e30f}, {5}));
  // exp stops somewhere above e^88.
  EXPECT_NEAR(y.data<float>()[0], 0, std::exp(-88.0));
  EXPECT_NEAR(y.data<float>()[1], 0, std::exp(-88.0));
  EXPECT_EQ(y.data<float>()[2], 0.5f);
  EXPECT_EQ(y.data<float>()[3], 1);
  EXPECT_EQ(y.data<float>()[4], 1);
}

TEST(Sigmoid, Errors) {
  expect_error([] { ops::sigmoid({}); }, {"sigmoid", "undefined"});
  expect_error([] { ops::sigmoid(Tensor::zeros({2}, DType::i64)); }, {"sigmoid", "i64"});
}

}  // namespace rmt::test
