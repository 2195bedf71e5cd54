#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/exp.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Exp, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = std::exp(v);
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("exp", [](Inputs in) { return ops::exp(in[0]); }, {randn(shape)},
             {.reference = naive, .max_probes = 100});
}

// Where simd::exp stays at its largest power, up to the largest x that has an exponential.
TEST(Exp, BecomesInfiniteWhereItMust) {
  const std::vector<float> x{88, 88.25f, 88.5f, 88.72f};
  const Tensor y = ops::exp(Tensor::from<float>(x, {4}));
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y.data<float>()[i] / std::exp(double(x[i])), 1, 4 * 0x1p-23) << x[i];
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor z = ops::exp(Tensor::from<float>({88.73f, 90, 1e30f, infinity, -infinity}, {5}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(z.data<float>()[i], infinity) << i;
  EXPECT_EQ(z.data<float>()[4], 0);
}

TEST(Exp, Errors) {
  expect_error([] { ops::exp({}); }, {"exp", "undefined"});
  expect_error([] { ops::exp(Tensor::zeros({2}, DType::i64)); }, {"exp", "i64"});
}

}  // namespace rmt::test
