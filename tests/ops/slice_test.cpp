#include <gtest/gtest.h>

#include "ops/slice.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Naive naive_slice(int axis, int64_t begin, int64_t end) {
  return [=](Inputs in) {
    const Tensor& x = in[0];
    int64_t inner = 1;
    for (int d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
    std::vector<double> y;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t at = i / inner % x.dim(axis);
      if (at >= begin && at < end) y.push_back(x.data<double>()[i]);
    }
    return y;
  };
}

}  // namespace

// Ranges that begin and end at multiples of 16 bytes and elsewhere, whole axes, empty ranges.
TEST(Slice, Op) {
  struct Case {
    Shape shape;
    int axis;
    int64_t begin, end;
  };
  for (const Case& c : std::vector<Case>{{{1}, 0, 0, 1},
                                         {{13}, 0, 5, 12},
                                         {{7, 13}, 0, 1, 7},
                                         {{7, 13}, 1, 12, 13},
                                         {{49, 57}, 1, 0, 57},
                                         {{3, 5, 32}, 2, 8, 24},
                                         {{3, 5, 32}, 2, 9, 25},
                                         {{2, 7, 3, 8}, 1, 2, 5},
                                         {{300, 130}, 1, 1, 129},
                                         {{0, 5}, 1, 1, 3},
                                         {{3, 5}, 1, 2, 2}}) {
    for (int axis : {c.axis, c.axis - c.shape.rank()})
      check_op(str("slice [", c.begin, ", ", c.end, ") of axis ", axis),
               [&](Inputs in) { return ops::slice(in[0], axis, c.begin, c.end); },
               {randn(c.shape, 1)},
               {.reference = naive_slice(c.axis, c.begin, c.end), .max_probes = 60});
  }
}

TEST(Slice, Errors) {
  const Tensor x = randn({2, 5});
  expect_error([] { ops::slice({}, 0, 0, 1); }, {"slice", "undefined"});
  expect_error([&] { ops::slice(x, 2, 0, 1); }, {"slice", "(2, 5)", "no axis 2"});
  expect_error([] { ops::slice(randn({}), 0, 0, 1); }, {"slice", "()", "no axis 0"});
  expect_error([&] { ops::slice(x, 1, 3, 6); }, {"slice", "[3, 6)", "(2, 5)"});
  expect_error([&] { ops::slice(x, 1, -1, 2); }, {"slice", "[-1, 2)", "(2, 5)"});
  expect_error([&] { ops::slice(x, 1, 3, 2); }, {"slice", "[3, 2)", "(2, 5)"});
  expect_error([] { ops::slice(Tensor::zeros({2}, DType::i64), 0, 0, 1); }, {"slice", "i64"});
}

}  // namespace rmt::test
