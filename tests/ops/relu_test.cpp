#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "ops/relu.h"
#include "tests/check_op.h"

namespace rmt::test {

// At 0 there is no derivative for differences to find.
static Tensor away_from_zero(const Shape& shape) {
  Tensor x = randn(shape);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& v = x.data<double>()[i];
    v = float(v < 0 ? v - 0.01 : v + 0.01);
  }
  return x;
}

TEST(Relu, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = v > 0 ? v : 0;
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("relu", [](Inputs in) { return ops::relu(in[0]); }, {away_from_zero(shape)},
             {.reference = naive, .max_probes = 100});
}

TEST(Relu, DerivativeAtZeroIsZeroAndNanStays) {
  const Tensor x = leaf(Tensor::from<float>({0, -1, 2, std::nanf("")}, {4})), y = ops::relu(x);
  EXPECT_TRUE(std::isnan(y.data<float>()[3]));
  backward(y, Tensor::full({4}, 3));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(grad(x).data<float>()[i], i == 2 ? 3 : 0) << i;
}

TEST(Relu, Errors) {
  expect_error([] { ops::relu({}); }, {"relu", "undefined"});
  expect_error([] { ops::relu(Tensor::zeros({2}, DType::i64)); }, {"relu", "i64"});
}

}  // namespace rmt::test
