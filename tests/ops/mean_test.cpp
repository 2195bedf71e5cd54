#include <gtest/gtest.h>

#include "ops/mean.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Naive naive_mean(int axis) {
  return [axis](Inputs in) {
    const Tensor& x = in[0];
    const int64_t n = x.dim(axis);
    int64_t inner = 1;
    for (int d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
    std::vector<double> y(size_t(x.numel() / n));
    for (int64_t i = 0; i < x.numel(); ++i)
      y[size_t(i / (n * inner) * inner + i % inner)] += x.data<double>()[i] / double(n);
    return y;
  };
}

}  // namespace

TEST(Mean, Op) {
  struct Case {
    Shape shape;
    int axis;
  };
  for (const Case& c : std::vector<Case>{{{1}, 0},
                                         {{57}, 0},
                                         {{7, 13}, 0},
                                         {{7, 13}, 1},
                                         {{3, 49, 32}, 1},
                                         {{2, 3, 5, 7}, 2},
                                         {{0, 7, 5}, 1}})
    for (int axis : {c.axis, c.axis - c.shape.rank()})
      check_op(str("mean over axis ", axis), [&](Inputs in) { return ops::mean(in[0], axis); },
               {randn(c.shape, 1)}, {.reference = naive_mean(c.axis), .max_probes = 60});
}

TEST(Mean, TheAxisIsGone) {
  EXPECT_EQ(ops::mean(randn({2, 3, 4}), 1).shape(), (Shape{2, 4}));
  EXPECT_EQ(ops::mean(randn({3}), 0).shape(), Shape());
}

TEST(Mean, Errors) {
  expect_error([] { ops::mean({}, 0); }, {"mean", "undefined"});
  expect_error([] { ops::mean(randn({2, 5}), 2); }, {"mean", "(2, 5)", "no axis 2"});
  expect_error([] { ops::mean(randn({2, 0}), 1); }, {"mean", "(2, 0)", "empty"});
}

}  // namespace rmt::test
