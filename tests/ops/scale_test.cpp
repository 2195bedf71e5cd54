#include <gtest/gtest.h>

#include "ops/scale.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Scale, Op) {
  for (auto [factor, shift] : {std::pair{-0.3, 2.0}, {1.0 / 3, 0.0}, {7.0, -1e-3}}) {
    auto naive = [factor = factor, shift = shift](Inputs in) {
      std::vector<double> y = in[0].to_vector<double>();
      for (double& v : y) v = factor * v + shift;
      return y;
    };
    auto op = [factor = factor, shift = shift](Inputs in) {
      return ops::scale(in[0], factor, shift);
    };
    for (Shape shape :
         {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
      check_op("scale", op, {randn(shape)}, {.reference = naive, .max_probes = 40});
  }
}

TEST(Scale, ShiftIsZeroUnlessGiven) {
  EXPECT_EQ(ops::scale(Tensor::full({1}, 3), 2).item<float>(), 6);
}

TEST(Scale, Errors) {
  expect_error([] { ops::scale({}, 2); }, {"scale", "undefined"});
  expect_error([] { ops::scale(Tensor::zeros({2}, DType::i64), 2); }, {"scale", "i64"});
}

}  // namespace rmt::test
