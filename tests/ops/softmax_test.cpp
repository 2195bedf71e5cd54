#include <gtest/gtest.h>

#include <cmath>

#include "ops/softmax.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Softmax, Op) {
  auto naive = [](Inputs in) {
    const int64_t M = in[0].shape()[-1];
    std::vector<double> y = in[0].to_vector<double>();
    for (size_t r = 0; r < y.size(); r += size_t(M)) {
      double sum = 0;
      for (size_t i = r; i < r + size_t(M); ++i) sum += y[i] = std::exp(y[i]);
      for (size_t i = r; i < r + size_t(M); ++i) y[i] /= sum;
    }
    return y;
  };
  for (Shape shape :
       {Shape{7, 13}, Shape{2, 3, 49}, Shape{57}, Shape{5, 16}, Shape{0, 5}, Shape{0, 7, 5},
        Shape{701, 57}, Shape{37, 64}, Shape{9, 256}, Shape{3, 1000}, Shape{3, 1100}})
    check_op("softmax", [](Inputs in) { return ops::softmax(in[0]); }, {randn(shape, 1, 0, 2)},
             {.reference = naive, .max_probes = 50});
}

TEST(Softmax, OfOneColumnIsOne) {
  check_op("softmax", [](Inputs in) { return ops::softmax(in[0]); }, {randn({7, 1})},
           {.reference = [](Inputs) { return std::vector<double>(7, 1.0); }, .may_be_zero = true});
}

TEST(Softmax, LargeLogits) {
  const float inf = INFINITY;
  Tensor y = ops::softmax(Tensor::from<float>(
      {1e4f, 1e4f, -1e4f, /**/ -1e4f, -1e4f, -3e4f, /**/ 1e4f, 9999, -inf}, {3, 3}));
  const float* p = y.data<float>();
  for (int row : {0, 1}) {
    EXPECT_EQ(p[3 * row], 0.5f);
    EXPECT_EQ(p[3 * row + 1], 0.5f);
    EXPECT_EQ(p[3 * row + 2], 0);
  }
  EXPECT_NEAR(p[6], 1 / (1 + std::exp(-1.0)), 4 * 0x1p-24);  // exp, sum, quotient, product
  EXPECT_EQ(p[8], 0);
}

TEST(Softmax, Errors) {
  expect_error([] { ops::softmax({}); }, {"softmax", "undefined"});
  expect_error([] { ops::softmax(randn({})); }, {"softmax", "()", "(..., C)"});
  expect_error([] { ops::softmax(randn({3, 0})); }, {"softmax", "(3, 0)", "C > 0"});
}

}  // namespace rmt::test
