#include <gtest/gtest.h>

#include <cmath>

#include "nn/norm.h"
#include "ops/group_norm.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Naive naive(int64_t G, double eps) {
  return [=](Inputs in) {
    const int64_t B = in[0].dim(0), C = in[0].shape()[-1], D = C / G;
    const int64_t L = B ? in[0].numel() / (B * C) : 0;
    std::vector<double> y = in[0].to_vector<double>();
    for (int64_t b = 0; b < B; ++b)
      for (int64_t g = 0; g < G; ++g) {
        auto each = [&](auto f) {
          for (int64_t l = 0; l < L; ++l)
            for (int64_t c = g * D; c < (g + 1) * D; ++c) f(y[size_t((b * L + l) * C + c)], c);
        };
        double mean = 0, var = 0;
        each([&](double v, int64_t) { mean += v / double(L * D); });
        each([&](double v, int64_t) { var += (v - mean) * (v - mean) / double(L * D); });
        each([&](double& v, int64_t c) {
          v = (v - mean) / std::sqrt(var + eps);
          if (in[1].defined()) v *= in[1].data<double>()[c];
          if (in[2].defined()) v += in[2].data<double>()[c];
        });
      }
    return y;
  };
}

void check(const Shape& shape, int64_t G, bool w, bool bias, double mean = 0.5) {
  const int64_t C = shape[-1];
  check_op(
      str("group_norm of ", G),
      [=](Inputs in) { return ops::group_norm(in[0], G, in[1], in[2], 1e-5); },
      {randn(shape, 1, mean, 2), w ? randn({C}, 2, 1) : Tensor(), bias ? randn({C}, 3) : Tensor()},
      {.reference = naive(G, 1e-5), .parameters = {false, true, true}, .max_probes = 60});
}

}  // namespace

// Groups of 1 channel and of all, of whole vectors and not; one position; more rows than a block
// of threads takes at once; groups wider than a block.
TEST(GroupNorm, Op) {
  check({7, 13}, 1, true, true);
  check({2, 3, 3, 6}, 2, true, true);
  check({1, 7, 7, 57}, 3, true, true);
  check({2, 49, 16}, 2, true, true);
  check({2, 5, 13, 32}, 4, true, true);
  check({1, 57, 5}, 5, true, true);
  check({2, 7, 520}, 2, true, true);
  check({2, 300, 8}, 1, true, true);
  check({0, 4, 8}, 2, true, true);
}

TEST(GroupNorm, WithoutWeightOrBias) {
  for (auto [w, bias] : {std::pair{false, false}, {true, false}, {false, true}})
    for (Shape shape : {Shape{2, 5, 6}, Shape{2, 5, 16}}) check(shape, 2, w, bias);
}

// The gradients of frozen parameters or of data are not asked for.
TEST(GroupNorm, EachGradientAlone) {
  for (size_t which : {0, 1, 2}) {
    std::vector<bool> differentiable(3, false);
    differentiable[which] = true;
    check_op("group_norm", [](Inputs in) { return ops::group_norm(in[0], 2, in[1], in[2]); },
             {randn({3, 7, 8}), randn({8}, 2, 1), randn({8}, 3)},
             {.reference = naive(2, 1e-5),
              .differentiable = differentiable,
              .parameters = {false, true, true}});
  }
}

// A mean of 1000 deviations: E[x^2] - E[x]^2 would lose all of the variance in f32.
TEST(GroupNorm, AMeanFarFromZeroDoesNotSpoilTheVariance) {
  const Tensor x = randn({2, 49, 8}, 1, 1000);
  const Tensor y = ops::group_norm(x.to(DType::f32), 2);
  // x - mean is exact to the rounding of the mean, 2^-24 x 1000, once more for its sum.
  EXPECT_LE(relative_error(y, ops::group_norm(x, 2)), 2 * 1000 * 0x1p-24);
}

TEST(GroupNorm, OfOneGroupAndOnePositionIsLayerNorm) {
  const Tensor x = randn({7, 13}), w = randn({13}, 2), bias = randn({13}, 3);
  EXPECT_LE(relative_error(ops::group_norm(x, 1, w, bias), ops::layer_norm(x, w, bias, 1e-5)),
            16 * 0x1p-53);
}

TEST(GroupNorm, Module) {
  nn::GroupNorm norm(2, 8);
  norm.init(1);
  const Tensor x = randn({2, 3, 3, 8}).to(DType::f32);
  EXPECT_EQ(norm.forward(x).detach().to_vector<float>(), ops::group_norm(x, 2).to_vector<float>());
  EXPECT_EQ(norm.parameters()[0].name, "weight");
  EXPECT_EQ(norm.parameters()[1].name, "bias");
  expect_error([] { nn::GroupNorm(3, 8); }, {"3 groups", "8 channels"});
}

TEST(GroupNorm, Errors) {
  const Tensor x = randn({2, 3, 8}), c = randn({8});
  expect_error([&] { ops::group_norm({}, 2); }, {"group_norm", "x is undefined"});
  expect_error([&] { ops::group_norm(c, 2); }, {"group_norm", "(8)", "(B, ..., C)"});
  expect_error([&] { ops::group_norm(randn({2, 0, 8}), 2); }, {"group_norm", "positions > 0"});
  for (int64_t groups : {0, 3, -2})
    expect_error([&] { ops::group_norm(x, groups); },
                 {"group_norm", str(groups, " groups"), "8 channels"});
  expect_error([&] { ops::group_norm(x, 2, randn({7})); }, {"weight is f64 (7)", "f64 (8)"});
  expect_error([&] { ops::group_norm(x, 2, c, c.to(DType::f32)); }, {"bias is f32", "f64 (8)"});
}

}  // namespace rmt::test
