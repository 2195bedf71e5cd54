#include <gtest/gtest.h>

#include <cmath>

#include "ops/layer_norm.h"
#include "ops/mul.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

constexpr double eps = 1e-6;
const std::vector<bool> parameters{false, true, true};

std::vector<double> naive(Inputs in) {
  const int64_t C = in[1].numel();
  std::vector<double> y = in[0].to_vector<double>();
  for (size_t r = 0; r < y.size(); r += size_t(C)) {
    double mean = 0, var = 0;
    for (int64_t c = 0; c < C; ++c) mean += y[r + size_t(c)] / double(C);
    for (int64_t c = 0; c < C; ++c) var += std::pow(y[r + size_t(c)] - mean, 2) / double(C);
    for (int64_t c = 0; c < C; ++c) {
      double& v = y[r + size_t(c)];
      v = (v - mean) / std::sqrt(var + eps) * in[1].data<double>()[c] + in[2].data<double>()[c];
    }
  }
  return y;
}

Tensor layer_norm(Inputs in) { return ops::layer_norm(in[0], in[1], in[2], eps); }

}  // namespace

TEST(LayerNorm, Op) {
  for (Shape shape : {Shape{13}, Shape{7, 13}, Shape{2, 3, 49}, Shape{5, 57}, Shape{2, 7, 7, 32},
                      Shape{49, 40}, Shape{3, 640}, Shape{9, 256}, Shape{5, 1024}, Shape{3, 1100},
                      Shape{2501, 32}, Shape{701, 57}}) {
    const int64_t C = shape[-1];
    check_op("layer_norm", layer_norm, {randn(shape, 1, 0.5, 2), randn({C}, 2), randn({C}, 3)},
             {.reference = naive, .parameters = parameters, .max_probes = 30});
  }
}

// x layer_norm(x): a gradient comes through both results, and they meet in one pass.
TEST(LayerNorm, BesideItsInput) {
  for (Shape shape : {Shape{7, 13}, Shape{2, 9, 64}, Shape{3, 1100}}) {
    const int64_t C = shape[-1];
    check_op("layer_norm_beside",
             [](Inputs in) {
               const auto [x, y] = ops::layer_norm_beside(in[0], in[1], in[2], eps);
               return ops::mul(x, y);
             },
             {randn(shape, 1, 0.5, 2), randn({C}, 2), randn({C}, 3)},
             {.reference =
                  [](Inputs in) {
                    std::vector<double> a = in[0].to_vector<double>(), b = naive(in);
                    for (size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
                    return a;
                  },
              .parameters = parameters,
              // y and its gradient are rounded to bf16, and the gradient of x.
              .bf16_tolerance = 3 * 0x1p-9,
              .max_probes = 30});
  }
}

// A gradient through one result alone.
TEST(LayerNorm, BesideItsInputEachAlone) {
  for (size_t i : {0, 1})
    check_op("layer_norm_beside",
             [i](Inputs in) { return ops::layer_norm_beside(in[0], in[1], in[2], eps)[i]; },
             {randn({7, 13}), randn({13}, 2), randn({13}, 3)},
             {.reference = [i](Inputs in) { return i ? naive(in) : in[0].to_vector<double>(); },
              .differentiable = {true, i == 1, i == 1},
              .parameters = parameters});
}

TEST(LayerNorm, EmptyBatch) {
  check_op("layer_norm", layer_norm, {randn({0, 7, 13}), randn({13}, 2), randn({13}, 3)},
           {.reference = naive, .parameters = parameters, .may_be_zero = true});
}

TEST(LayerNorm, EachGradientAlone) {
  for (int i = 0; i < 3; ++i) {
    std::vector<bool> differentiable(3, false);
    differentiable[size_t(i)] = true;
    check_op("layer_norm", layer_norm, {randn({7, 13}), randn({13}, 2), randn({13}, 3)},
             {.reference = naive, .differentiable = differentiable, .parameters = parameters});
  }
}

TEST(LayerNorm, OneColumnIsTheBias) {
  // z = 0, so dw = 0; dx is 0 up to the rounding of g - mean(g), of which no relative error can be
  // asked.
  check_op("layer_norm", layer_norm, {randn({7, 1}), randn({1}, 2), randn({1}, 3)},
           {.reference = naive,
            .differentiable = {false, true, true},
            .parameters = parameters,
            .may_be_zero = true});
}

TEST(LayerNorm, LargeMean) {
  // Numbers near 1e4 are apart by 2^-10, and the mean is right to a few roundings, each half of
  // that: an error of 2^-10 or so beside a deviation of 1. E[x^2] - E[x]^2 would be 1e8 - 1e8 with
  // a rounding of 8.
  for (int64_t C : {32, 57, 640}) {
    Tensor x = randn({49, C}, 1, 1e4), w = Tensor::full({C}, 1, DType::f64),
           bias = Tensor::zeros({C}, DType::f64);
    Tensor y = ops::layer_norm(x.to(DType::f32), w.to(DType::f32), bias.to(DType::f32), eps);
    std::vector<double> expected = naive({x, w, bias});
    for (int64_t i = 0; i < y.numel(); ++i)
      ASSERT_NEAR(y.data<float>()[i], expected[size_t(i)], 4 * 0x1p-10) << C;
  }
}

TEST(LayerNorm, Errors) {
  Tensor x = randn({7, 13}), w = randn({13});
  expect_error([&] { ops::layer_norm({}, w, w, eps); }, {"layer_norm", "x is undefined"});
  expect_error([&] { ops::layer_norm(x, {}, w, eps); }, {"layer_norm", "w is undefined"});
  expect_error([&] { ops::layer_norm(x, w, {}, eps); }, {"layer_norm", "bias is undefined"});
  expect_error([&] { ops::layer_norm(x, randn({7}), w, eps); },
               {"layer_norm", "w is f64 (7)", "expected f64 (13)"});
  expect_error([&] { ops::layer_norm(x, w, w.to(DType::f32), eps); },
               {"layer_norm", "bias is f32 (13)", "expected f64 (13)"});
  expect_error(
      [&] {
        ops::layer_norm(randn({7, 0}), w, w, eps);
      },
      {"layer_norm", "(7, 0)", "C > 0"});
}

}  // namespace rmt::test
