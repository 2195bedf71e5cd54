#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/log.h"
#include "tests/check_op.h"

namespace rmt::test {

// From 0.1 to some e^3.
static Tensor positive(const Shape& shape) {
  Tensor x = randn(shape);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<double>()[i] = float(0.1 + std::exp(x.data<double>()[i]));
  return x;
}

TEST(Log, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = std::log(v);
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("log", [](Inputs in) { return ops::log(in[0]); }, {positive(shape)},
             {.reference = naive, .max_probes = 100});
}

TEST(Log, OfZeroAndNegativeNumbers) {
  const Tensor y = ops::log(Tensor::from<float>({0, -1, 1}, {3}));
  EXPECT_EQ(y.data<float>()[0], -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(y.data<float>()[1]));
  EXPECT_EQ(y.data<float>()[2], 0);
}

TEST(Log, Errors) {
  expect_error([] { ops::log({}); }, {"log", "undefined"});
  expect_error([] { ops::log(Tensor::zeros({2}, DType::i64)); }, {"log", "i64"});
}

}  // namespace rmt::test
