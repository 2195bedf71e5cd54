#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "ops/gelu_depthwise_conv2d.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Tensor fused(Inputs in) { return ops::gelu_depthwise_conv2d(in[0], in[1], in[2]); }

// in = x (B, H, W, C), w (C, 1, k, k), bias (C) or undefined
std::vector<double> naive(Inputs in) {
  const Tensor &x = in[0], &w = in[1], &bias = in[2];
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3), k = w.dim(2), r = k / 2;
  std::vector<double> g, y;
  for (double v : x.to_vector<double>()) g.push_back(v * 0.5 * std::erfc(-v * std::sqrt(0.5)));
  for (int64_t b = 0; b < B; ++b)
    for (int64_t h = 0; h < H; ++h)
      for (int64_t l = 0; l < W; ++l)
        for (int64_t c = 0; c < C; ++c) {
          double s = g[y.size()] + (bias.defined() ? bias.data<double>()[c] : 0);
          for (int64_t i = 0; i < k; ++i)
            for (int64_t j = 0; j < k; ++j) {
              const int64_t yy = h + i - r, xx = l + j - r;
              if (yy >= 0 && yy < H && xx >= 0 && xx < W)
                s += w.data<double>()[(c * k + i) * k + j] *
                     g[size_t(((b * H + yy) * W + xx) * C + c)];
            }
          y.push_back(s);
        }
  return y;
}

}  // namespace

// Strips that fit and that do not, in both directions; channels in vectors and not; filters with
// and without kernels of their own.
TEST(GeluDepthwiseConv2d, Op) {
  struct Case {
    int64_t B, H, W, C, k;
  };
  for (Case c : {Case{1, 1, 1, 2, 3},
                 {2, 17, 6, 4, 3},
                 {1, 3, 9, 5, 3},
                 {1, 5, 4, 2, 5},
                 {1, 4, 3, 2, 1},
                 {1, 31, 14, 2, 3},
                 {3, 5, 7, 66, 3},
                 {2, 3, 7, 4, 5},
                 {0, 4, 5, 4, 3}}) {
    const Shape shape{c.B, c.H, c.W, c.C};
    const std::vector<Tensor> in{randn(shape, 1), randn({c.C, 1, c.k, c.k}, 2, 0, 1 / double(c.k)),
                                 randn({c.C}, 3)};
    const std::string name = str("gelu_depthwise_conv2d ", shape, ", k ", c.k);
    // With bf16, Phi is right to 2e-4 (gelu.cuh), which dw shows, being f32.
    const CheckOptions options{.reference = naive,
                               .parameters = {false, true, true},
                               .bf16_tolerance = 2e-4,
                               .may_be_zero = c.B == 0,
                               .max_probes = 40};
    check_op(name, fused, in, options);
    if (c.B == 1) check_op(name + ", no bias", fused, {in[0], in[1], {}}, options);
  }
}

TEST(GeluDepthwiseConv2d, Errors) {
  const Tensor x = Tensor::zeros({2, 5, 5, 8}), w = Tensor::zeros({8, 1, 3, 3});
  expect_error([&] { ops::gelu_depthwise_conv2d({}, w, {}); }, {"gelu_depthwise_conv2d", "x"});
  expect_error(
      [&] {
        ops::gelu_depthwise_conv2d(x, Tensor::zeros({4, 1, 3, 3}), {});
      },
      {"w is f32 (4, 1, 3, 3)", "(8, 1, 3, 3)"});
  expect_error(
      [&] {
        ops::gelu_depthwise_conv2d(x, Tensor::zeros({8, 1, 4, 4}), {});
      },
      {"size 4", "odd"});
  expect_error([&] { ops::gelu_depthwise_conv2d(x, w, Tensor::zeros({4})); },
               {"bias is f32 (4)", "(8)"});
}

}  // namespace rmt::test
