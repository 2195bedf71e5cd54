#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/add.h"
#include "ops/concat.h"
#include "ops/depthwise_conv2d.h"
#include "ops/kernels/depthwise_calls.h"
#include "ops/slice.h"
#include "tests/check_op_proof.h"

namespace rmt::test {
namespace {

// in = x (B, H, W, C), w (C, 1, k, k), bias (C) or undefined, residual or undefined
std::vector<double> naive(Inputs in) {
  const Tensor &x = in[0], &w = in[1], &bias = in[2], &residual = in[3];
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3), k = w.dim(2), r = k / 2;
  std::vector<double> y;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t h = 0; h < H; ++h)
      for (int64_t l = 0; l < W; ++l)
        for (int64_t c = 0; c < C; ++c) {
          double s = bias.defined() ? bias.data<double>()[c] : 0;
          for (int64_t i = 0; i < k; ++i)
            for (int64_t j = 0; j < k; ++j) {
              const int64_t yy = h + i - r, xx = l + j - r;
              if (yy >= 0 && yy < H && xx >= 0 && xx < W)
                s += w.data<double>()[(c * k + i) * k + j] *
                     x.data<double>()[((b * H + yy) * W + xx) * C + c];
            }
          if (residual.defined()) s += residual.data<double>()[int64_t(y.size())];
          y.push_back(s);
        }
  return y;
}

std::vector<double> naive_plus_x(Inputs in) { return naive({in[0], in[1], in[2], in[0]}); }

Tensor depthwise(Inputs in) { return ops::depthwise_conv2d(in[0], in[1], in[2], in[3]); }
Tensor depthwise_plus_x(Inputs in) { return ops::depthwise_conv2d(in[0], in[1], in[2], in[0]); }

CheckOptions options(const Naive& reference, bool on_gpu = true, double gradient_tolerance = 2e-8,
                     int64_t probes = 40) {
  CheckOptions o;
  o.on_gpu = on_gpu;
  o.reference = reference;
  o.parameters = {false, true, true, false};
  o.gradient_tolerance = gradient_tolerance;
  o.may_be_zero = true;  // of an empty batch; else the definition and the differences see it
  o.max_probes = probes;
  return o;
}

struct Case {
  int64_t B, H, W, C, k;
};

std::vector<Tensor> inputs_for(const Case& c) {
  Shape shape{c.B, c.H, c.W, c.C};
  return {randn(shape, 1), randn({c.C, 1, c.k, c.k}, 2, 0, 1 / double(c.k)), randn({c.C}, 3),
          randn(shape, 4)};
}

}  // namespace

// Every k; maps smaller than the filter; rows of one block, of two edge blocks, with whole blocks
// between; channels around the vectors' widths; on the GPU strips one below the other and beside
// each other, with the last one whole or not.
TEST(DepthwiseConv2d, Op) {
  for (Case c : {Case{1, 1, 1, 1, 3},
                 {2, 2, 5, 3, 3},
                 {1, 5, 2, 16, 5},
                 {3, 7, 7, 33, 3},
                 {1, 13, 29, 48, 3},
                 {2, 5, 30, 20, 5},
                 {1, 3, 13, 65, 5},
                 {1, 7, 19, 5, 7},
                 {2, 3, 17, 9, 1},
                 {0, 4, 5, 16, 3},
                 {2, 0, 5, 16, 3},
                 {1, 1, 1, 17, 9},
                 {2, 17, 8, 2, 3},
                 {2, 30, 5, 4, 5},
                 {1, 4, 3, 66, 3}}) {
    const std::string name =
        str("depthwise_conv2d (", c.B, ", ", c.H, ", ", c.W, ", ", c.C, "), k ", c.k);
    const bool small = c.B * c.H * c.W * c.C * c.k < 1500;  // else one variant is enough on the GPU
    std::vector<Tensor> in = inputs_for(c);
    check_op(name + ", residual", depthwise, in, options(naive, small));
    check_op(name + ", no residual", depthwise, {in[0], in[1], in[2], {}}, options(naive, small));
    check_op(name + ", residual x", depthwise_plus_x, {in[0], in[1], in[2]}, options(naive_plus_x));
    check_op(name + ", no bias", depthwise, {in[0], in[1], {}, {}}, options(naive, small));
  }
}

// Large enough for several pieces and several partial sums. Here the central differences are the
// less exact side: sum(y u) has 10^5 terms, whose rounding, about 300 * 300 * 1e-16 = 1e-11
// (partial sums of a few hundred, 300 = sqrt(10^5)), is divided by 2 h = 2e-5.
TEST(DepthwiseConv2d, ManyPieces) {
  for (int64_t k : {3, 5}) {
    std::vector<Tensor> in = inputs_for({3, 33, 35, 33, k});
    check_op(str("depthwise_conv2d large, k ", k), depthwise_plus_x, {in[0], in[1], in[2]},
             options(naive_plus_x, false, 1e-6, 10));
  }
}

// A part of a batch may begin where vector loads may not.
TEST(DepthwiseConv2d, UnalignedOnGpu) {
  if (!cuda::available()) return;
  const Tensor x = randn({3, 3, 5, 2}, 1).to(DType::f32), w = randn({2, 1, 3, 3}, 2).to(DType::f32);
  const Tensor y = ops::depthwise_conv2d(x.to(Device::cuda).slice(1, 3), w.to(Device::cuda), {});
  EXPECT_LE(relative_error(y.to(Device::cpu), ops::depthwise_conv2d(x.slice(1, 3), w, {})), 1e-6);
}

// The calls for maps inside wider ones give the bits that they give for maps without gaps, leave
// what lies between alone, and add to y where y is the residual.
template <class T>
void expect_strides_change_nothing(const Case& c) {
  const DType dtype = dtype_of<T>, parameters = wide(dtype);
  const Map m{c.B, c.H, c.W, c.C, c.k, c.k / 2};
  auto number = [](const Tensor& t) { return static_cast<T*>(t.raw()); };
  auto parameter = [](const Tensor& t) { return static_cast<Wide<T>*>(t.raw()); };
  auto map = [&](uint64_t seed) {
    return randn({c.B, c.H, c.W, c.C}, seed).to(dtype).to(Device::cuda);
  };
  const Tensor x = map(1), dy = map(2), before = map(3), other = map(4);
  const Tensor w = randn({c.C, 1, c.k, c.k}, 5).to(parameters).to(Device::cuda);
  const Tensor bias = randn({c.C}, 6).to(parameters).to(Device::cuda);
  auto between = [&](const Tensor& t) { return ops::concat({other, t, other}, 3); };
  auto expect_same = [&](const Tensor& a, const Tensor& b) {
    EXPECT_TRUE(same_bits(a.to(Device::cpu), b.to(Device::cpu)))
        << dtype << ", " << c.C << " channels, k " << c.k;
  };
  for_thread_orders([&] {
    Tensor y = Tensor::empty_like(x), wide_y = between(before);
    gpu::depthwise_convolve<T>(number(x), c.C, parameter(w), parameter(bias), number(before),
                               number(y), c.C, m, false);
    gpu::depthwise_convolve<T>(number(between(x)) + c.C, 3 * c.C, parameter(w), parameter(bias),
                               number(wide_y) + c.C, number(wide_y) + c.C, 3 * c.C, m, false);
    expect_same(wide_y, between(y));

    Tensor dx = Tensor::empty_like(x), wide_dx = between(before);
    Tensor dw = Tensor::empty_like(w), db = Tensor::empty_like(bias);
    Tensor wide_dw = Tensor::empty_like(w), wide_db = Tensor::empty_like(bias);
    gpu::depthwise_backward<T>(number(x), c.C, number(dy), parameter(w), number(dx), c.C,
                               parameter(dw), parameter(db), m, true);
    gpu::depthwise_backward<T>(number(between(x)) + c.C, 3 * c.C, number(dy), parameter(w),
                               number(wide_dx) + c.C, 3 * c.C, parameter(wide_dw),
                               parameter(wide_db), m, true);
    expect_same(wide_dx, between(dx));
    expect_same(wide_dw, dw);
    expect_same(wide_db, db);
  });
}

TEST(DepthwiseConv2d, StridesOnGpu) {
  if (!cuda::available()) return;
  for (Case c : {Case{2, 5, 9, 8, 3}, {2, 9, 5, 16, 5}, {1, 3, 4, 5, 3}, {1, 3, 8, 6, 7}}) {
    expect_strides_change_nothing<bf16>(c);
    expect_strides_change_nothing<float>(c);
  }
}

// Of many parts: against one image at a time, to the rounding of 10^4 terms.
TEST(DepthwiseConv2d, WeightGradientIsTheSumOverTheBatch) {
  const Case c{8, 24, 24, 40, 3};
  std::vector<Tensor> in = inputs_for(c);
  Tensor dy = randn({c.B, c.H, c.W, c.C}, 5);
  auto gradients = [&](int64_t begin, int64_t end) {
    Tensor w = leaf(in[1]), bias = leaf(in[2]);
    backward(ops::depthwise_conv2d(in[0].slice(begin, end), w, bias), dy.slice(begin, end));
    return std::pair{grad(w), grad(bias)};
  };
  auto [dw, dbias] = gradients(0, c.B);
  Tensor dw_sum = Tensor::zeros_like(dw), dbias_sum = Tensor::zeros_like(dbias);
  for (int64_t b = 0; b < c.B; ++b) {
    auto [one_w, one_bias] = gradients(b, b + 1);
    for (int64_t i = 0; i < dw.numel(); ++i) dw_sum.data<double>()[i] += one_w.data<double>()[i];
    for (int64_t i = 0; i < dbias.numel(); ++i)
      dbias_sum.data<double>()[i] += one_bias.data<double>()[i];
  }
  EXPECT_LE(relative_error(dw, dw_sum), 1e-14);
  EXPECT_LE(relative_error(dbias, dbias_sum), 1e-14);
}

TEST(DepthwiseConv2d, ResidualXInOnePassEqualsTwoOps) {
  std::vector<Tensor> in = inputs_for({2, 9, 21, 24, 5});
  Tensor x = leaf(in[0]), x2 = leaf(in[0]), u = randn(in[0].shape(), 6);
  backward(ops::depthwise_conv2d(x, in[1], in[2], x), u);
  backward(ops::add(ops::depthwise_conv2d(x2, in[1], in[2]), x2), u);
  EXPECT_LE(relative_error(grad(x), grad(x2)), 1e-15);
}

TEST(DepthwiseConv2d, Errors) {
  Tensor x = Tensor::zeros({2, 5, 5, 8}), w = Tensor::zeros({8, 1, 3, 3});
  expect_error([&] { ops::depthwise_conv2d({}, w, {}); }, {"depthwise_conv2d", "x"});
  expect_error(
      [&] {
        ops::depthwise_conv2d(Tensor::zeros({5, 5, 8}), w, {});
      },
      {"depthwise_conv2d", "x is (5, 5, 8)", "(B, H, W, C)"});
  expect_error(
      [&] {
        ops::depthwise_conv2d(x, Tensor::zeros({4, 1, 3, 3}), {});
      },
      {"w is f32 (4, 1, 3, 3)", "(8, 1, 3, 3)"});
  expect_error(
      [&] {
        ops::depthwise_conv2d(x, Tensor::zeros({8, 1, 3, 5}), {});
      },
      {"w is f32 (8, 1, 3, 5)", "(8, 1, 3, 3)"});
  expect_error(
      [&] {
        ops::depthwise_conv2d(x, Tensor::zeros({8, 1, 4, 4}), {});
      },
      {"size 4", "odd"});
  expect_error([&] { ops::depthwise_conv2d(x, w, Tensor::zeros({4})); },
               {"bias is f32 (4)", "(8)"});
  expect_error(
      [&] {
        ops::depthwise_conv2d(x, w, {}, Tensor::zeros({2, 5, 4, 8}));
      },
      {"residual", "(2, 5, 4, 8)", "(2, 5, 5, 8)"});
  expect_error([&] { ops::depthwise_conv2d(x, w.to(DType::f64), {}); }, {"w is f64", "f32"});
}

}  // namespace rmt::test
