#include <gtest/gtest.h>

#include "ops/transpose.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// Element by element: the place of each number of y in x by its indices.
Naive naive_transpose(int a, int b) {
  return [=](Inputs in) {
    const Tensor& x = in[0];
    std::vector<int64_t> extents(x.shape().begin(), x.shape().end()), strides(extents.size(), 1);
    for (size_t d = extents.size() - 1; d > 0; --d) strides[d - 1] = strides[d] * extents[d];
    std::swap(extents[size_t(a)], extents[size_t(b)]);
    std::swap(strides[size_t(a)], strides[size_t(b)]);
    std::vector<double> y;
    for (int64_t i = 0; i < x.numel(); ++i) {
      int64_t left = i, from = 0;
      for (size_t d = extents.size(); d-- > 0; left /= extents[d])
        from += left % extents[d] * strides[d];
      y.push_back(x.data<double>()[from]);
    }
    return y;
  };
}

}  // namespace

// Plain matrices around the sizes of a vector and of a tile; batches of them; with a dimension
// between; rows of one, of some and of many numbers behind; neighbours and none; rank 8.
TEST(Transpose, Op) {
  struct Case {
    Shape shape;
    int a, b;
  };
  for (const Case& c : std::vector<Case>{{{1, 1}, 0, 1},
                                         {{7, 13}, 0, 1},
                                         {{49, 57}, 0, 1},
                                         {{32, 64}, 0, 1},
                                         {{33, 31}, 0, 1},
                                         {{300, 130}, 0, 1},
                                         {{3, 13, 7}, 1, 2},
                                         {{3, 13, 7}, 0, 2},
                                         {{2, 17, 3, 33}, 1, 3},
                                         {{2, 49, 3, 8}, 1, 2},
                                         {{2, 7, 5, 3, 13}, 1, 3},
                                         {{5, 7, 16}, 0, 1},
                                         {{7, 1, 4}, 1, 0},
                                         {{5, 4}, 1, 1},
                                         {{2, 1, 3, 2, 2, 3, 1, 2}, 2, 5},
                                         {{2, 1, 3, 2, 2, 3, 1, 2}, 0, 7},
                                         {{0, 5, 3}, 0, 2},
                                         {{3, 5, 0}, 0, 1}}) {
    const int rank = c.shape.rank();
    for (const auto& [a, b] : {std::pair(c.a, c.b), std::pair(c.b - rank, c.a - rank)})
      check_op(str("transpose ", a, " and ", b),
               [a = a, b = b](Inputs in) { return ops::transpose(in[0], a, b); },
               {randn(c.shape, 1)}, {.reference = naive_transpose(c.a, c.b), .max_probes = 60});
  }
}

TEST(Transpose, ShapesChangePlaces) {
  EXPECT_EQ(ops::transpose(randn({2, 3, 4, 5}), 1, -1).shape(), (Shape{2, 5, 4, 3}));
}

TEST(Transpose, Errors) {
  expect_error([] { ops::transpose({}, 0, 1); }, {"transpose", "undefined"});
  expect_error([] { ops::transpose(randn({2, 5}), 0, 2); }, {"transpose", "(2, 5)", "no axis 2"});
  expect_error([] { ops::transpose(randn({2, 5}), -3, 0); }, {"transpose", "(2, 5)", "no axis -3"});
  expect_error(
      [] {
        ops::transpose(Tensor::zeros({2, 3}, DType::i64), 0, 1);
      },
      {"transpose", "i64"});
}

}  // namespace rmt::test
