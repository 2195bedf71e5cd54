#include <gtest/gtest.h>

#include "ops/roll.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Naive naive_roll(int axis, int64_t shift) {
  return [=](Inputs in) {
    const Tensor& x = in[0];
    const int64_t n = x.dim(axis);
    int64_t inner = 1;
    for (int d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
    std::vector<double> y;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t at = i / inner % n;
      int64_t from = (at - shift) % n;
      if (from < 0) from += n;
      y.push_back(x.data<double>()[i + (from - at) * inner]);
    }
    return y;
  };
}

}  // namespace

// Shifts of both signs, by nothing, and by more than the axis has elements.
TEST(Roll, Op) {
  struct Case {
    Shape shape;
    int axis;
    int64_t shift;
  };
  for (const Case& c : std::vector<Case>{{{1}, 0, 1},
                                         {{13}, 0, 5},
                                         {{7, 13}, 1, -3},
                                         {{7, 13}, 0, 1},
                                         {{2, 7, 7, 8}, 1, 3},
                                         {{2, 7, 7, 8}, 2, -3},
                                         {{3, 5, 32}, 2, 8},
                                         {{49, 57}, 1, 1000},
                                         {{49, 57}, 0, -1000},
                                         {{5, 4}, 1, 0},
                                         {{5, 4}, 1, -4},
                                         {{300, 130}, 0, 7},
                                         {{0, 5}, 1, 2},
                                         {{5, 0}, 1, 2}}) {
    for (int axis : {c.axis, c.axis - c.shape.rank()})
      check_op(str("roll by ", c.shift, " along axis ", axis),
               [&](Inputs in) { return ops::roll(in[0], axis, c.shift); }, {randn(c.shape, 1)},
               {.reference = naive_roll(c.axis, c.shift), .max_probes = 60});
  }
}

TEST(Roll, Errors) {
  expect_error([] { ops::roll({}, 0, 1); }, {"roll", "undefined"});
  expect_error([] { ops::roll(randn({2, 5}), 2, 1); }, {"roll", "(2, 5)", "no axis 2"});
  expect_error([] { ops::roll(Tensor::zeros({2}, DType::i64), 0, 1); }, {"roll", "i64"});
}

}  // namespace rmt::test
