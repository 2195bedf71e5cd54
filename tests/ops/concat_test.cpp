#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/concat.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// Element (o, i, c) of y is element (o, i - first, c) of the tensor that i falls into.
Naive naive_concat(int axis) {
  return [axis](Inputs in) {
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < in[0].rank(); ++d)
      if (d != axis) (d < axis ? outer : inner) *= in[0].dim(d);
    std::vector<double> y;
    for (int64_t o = 0; o < outer; ++o)
      for (const Tensor& x : in)
        for (int64_t i = 0; i < x.dim(axis); ++i)
          for (int64_t c = 0; c < inner; ++c)
            y.push_back(x.data<double>()[(o * x.dim(axis) + i) * inner + c]);
    return y;
  };
}

}  // namespace

// Extents along the axis that are and are not multiples of 16 bytes, one tensor alone, empty ones,
// and an axis before, between and behind others.
TEST(Concat, Op) {
  struct Case {
    int axis;
    std::vector<Shape> shapes;
  };
  for (const Case& c : std::vector<Case>{{0, {{1}}},
                                         {0, {{7}, {13}, {1}}},
                                         {1, {{7, 13}, {7, 1}, {7, 49}}},
                                         {0, {{1, 57}, {7, 57}}},
                                         {1, {{2, 1, 24}, {2, 7, 24}}},
                                         {2, {{3, 5, 8}, {3, 5, 16}, {3, 5, 8}}},
                                         {1, {{2, 3, 4, 5}, {2, 0, 4, 5}, {2, 1, 4, 5}}},
                                         {1, {{0, 3}, {0, 5}}},
                                         {0, {{300, 130}, {41, 130}}}}) {
    std::vector<Tensor> xs;
    for (const Shape& shape : c.shapes) xs.push_back(randn(shape, 1 + xs.size()));
    for (int axis : {c.axis, c.axis - xs[0].rank()})
      check_op("concat", [axis](Inputs in) { return ops::concat(in, axis); }, xs,
               {.reference = naive_concat(c.axis), .max_probes = 40});
  }
}

TEST(Concat, OneTensorTwiceGetsBothGradients) {
  const Tensor x = leaf(randn({2, 3}, 1));
  const Tensor dy = Tensor::from<double>({1, 2, 3, 10, 20, 30, 4, 5, 6, 40, 50, 60}, {2, 6});
  backward(ops::concat({x, x}, 1), dy);
  EXPECT_EQ(grad(x).to_vector<double>(), (std::vector<double>{11, 22, 33, 44, 55, 66}));
}

TEST(Concat, OnlyWantedGradientsAreComputed) {
  const Tensor x = leaf(randn({2, 3}, 1)), constant = randn({2, 5}, 2);
  backward(ops::sum(ops::concat({constant, x, constant}, 1)));
  EXPECT_EQ(grad(x).to_vector<double>(), std::vector<double>(6, 1));
}

TEST(Concat, Errors) {
  const Tensor x = randn({2, 3}), y = randn({4, 3});
  expect_error([] { ops::concat({}, 0); }, {"concat", "no tensors"});
  expect_error([&] { ops::concat({x, Tensor()}, 0); }, {"concat", "undefined"});
  expect_error([&] { ops::concat({x, y}, 1); }, {"concat", "tensor 1", "(4, 3)", "(2, 3)"});
  expect_error([&] { ops::concat({x, randn({2, 3, 1})}, 0); }, {"concat", "(2, 3, 1)", "(2, 3)"});
  expect_error([&] { ops::concat({x, y}, 2); }, {"concat", "(2, 3)", "no axis 2", "-2 to 1"});
  expect_error([&] { ops::concat({x, y}, -3); }, {"concat", "(2, 3)", "no axis -3"});
  expect_error([&] { ops::concat({x, y.to(DType::f32)}, 0); }, {"concat", "f32", "f64"});
  if (cuda::available())
    expect_error([&] { ops::concat({x, y.to(Device::cuda)}, 0); }, {"concat", "on cuda", "on cpu"});
}

}  // namespace rmt::test
