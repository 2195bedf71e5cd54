#include <gtest/gtest.h>

#include <cmath>

#include "ops/tanh.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Tanh, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = std::tanh(v);
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("tanh", [](Inputs in) { return ops::tanh(in[0]); }, {randn(shape, 1, 0, 3)},
             {.reference = naive, .max_probes = 100});
}

// Each number for itself, not the norm of all: small ones keep their digits. Three roundings of
// 2^-24 in the fraction near 0; one of exp and three more in 1 - 2 / (e + 1), whose 2 / (e + 1) is
// below 0.37 and not half of the result.
TEST(Tanh, SmallNumbersKeepTheirDigits) {
  std::vector<float> x;
  for (float v = 1e-38f; v < 100; v *= 1.01f) x.insert(x.end(), {v, -v});
  const Tensor y = ops::tanh(Tensor::from<float>(x, {int64_t(x.size())}));
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y.data<float>()[i] / std::tanh(double(x[i])), 1, 6 * 0x1p-24) << x[i];
}

TEST(Tanh, Errors) {
  expect_error([] { ops::tanh({}); }, {"tanh", "undefined"});
  expect_error([] { ops::tanh(Tensor::zeros({2}, DType::i64)); }, {"tanh", "i64"});
}

}  // namespace rmt::test
