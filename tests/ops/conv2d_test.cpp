#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/conv2d.h"
#include "tests/check_op.h"
#include "tests/check_op_proof.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/machine.h"
#endif

namespace rmt::test {
namespace {

Naive naive_conv2d(int64_t stride, int64_t pad, int64_t groups) {
  return [=](Inputs in) {
    const Tensor &x = in[0], &w = in[1];
    int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), I = x.dim(3), O = w.dim(0), k = w.dim(2);
    int64_t OH = (H + 2 * pad - k) / stride + 1, OW = (W + 2 * pad - k) / stride + 1;
    std::vector<double> y;
    for (int64_t b = 0; b < B; ++b)
      for (int64_t oy = 0; oy < OH; ++oy)
        for (int64_t ox = 0; ox < OW; ++ox)
          for (int64_t o = 0; o < O; ++o) {
            double s = in[2].defined() ? in[2].data<double>()[o] : 0;
            for (int64_t i = 0; i < k; ++i)
              for (int64_t j = 0; j < k; ++j) {
                int64_t yy = oy * stride + i - pad, xx = ox * stride + j - pad;
                if (yy < 0 || yy >= H || xx < 0 || xx >= W) continue;
                const int64_t n = I / groups, first = o / (O / groups) * n;
                for (int64_t c = 0; c < n; ++c)
                  s += x.data<double>()[((b * H + yy) * W + xx) * I + first + c] *
                       w.data<double>()[((o * n + c) * k + i) * k + j];
              }
            y.push_back(s);
          }
    return y;
  };
}

// The longest sum has K terms: for dw the output pixels. Added one after the other, terms of random
// signs and size s make partial sums of about s sqrt(n), and each addition rounds by at most 2^-24
// of one, in the mean square a third of that squared. So the sum is off by 2^-24 s sqrt(sum_n n /
// 3) = 2^-24 s K / sqrt(6), and of its own size s sqrt(K) that is 2^-24 sqrt(K / 6), beside the
// usual 16 roundings.
//
// With bf16 activations the weights are rounded to bf16, by 2^-9 at most, and what each output
// pixel gives to dx.
CheckOptions options(int64_t stride, int64_t pad, int64_t groups = 1, int64_t K = 0) {
  return {.reference = naive_conv2d(stride, pad, groups),
          .f32_tolerance = (16 + std::sqrt(double(K) / 6)) * 0x1p-24,
          .parameters = {false, true, true},
          .bf16_tolerance = 2 * 0x1p-9,
          .max_probes = 30};
}

struct Case {
  int64_t B, H, W, I, O, k, stride, pad;
  int64_t pixels() const {
    return B * ((H + 2 * pad - k) / stride + 1) * ((W + 2 * pad - k) / stride + 1);
  }
};

void check_case(const Case& c) {
  auto op = [c](Inputs in) { return ops::conv2d(in[0], in[1], in[2], c.stride, c.pad); };
  check_op(
      str("conv2d ", c.B, " ", c.H, " ", c.W, " ", c.I, " ", c.O, " k", c.k, " s", c.stride), op,
      {randn({c.B, c.H, c.W, c.I}, 1), randn({c.O, c.I, c.k, c.k}, 2, 0, 0.3), randn({c.O}, 3)},
      options(c.stride, c.pad, 1, c.pixels()));
}

}  // namespace

// Channels in whole vectors and not; one band and several, on the GPU one image at a time and
// several.
TEST(Conv2d, Op) {
  for (const Case& c :
       {Case{1, 1, 1, 1, 1, 3, 1, 1}, Case{2, 7, 13, 3, 5, 3, 2, 1}, Case{2, 8, 6, 4, 33, 3, 1, 1},
        Case{1, 9, 5, 3, 4, 4, 4, 0}, Case{0, 5, 5, 2, 3, 3, 1, 1}, Case{2, 57, 49, 3, 7, 3, 2, 1},
        Case{3, 40, 40, 2, 100, 3, 1, 1}, Case{1, 3, 2, 2, 2, 5, 1, 2},
        Case{1, 6, 6, 2, 3, 1, 2, 0}, Case{2, 9, 6, 8, 5, 3, 2, 1}})
    check_case(c);
  check_op(
      "conv2d without bias", [](Inputs in) { return ops::conv2d(in[0], in[1], in[2], 1, 1); },
      {randn({1, 4, 5, 2}, 1), randn({3, 2, 3, 3}, 2), Tensor()}, options(1, 1));
}

// Shapes that tensor cores serve in bf16: strides 1 and 2, odd sizes; tiles that hold several
// images, and several tiles of an image; more columns than a block has, and more channels than a
// halo has at a time; images of three channels.
const Case kServed[] = {
    {2, 9, 7, 8, 16, 3, 1, 1},  {1, 20, 23, 32, 32, 3, 1, 1}, {2, 13, 11, 24, 40, 3, 2, 1},
    {3, 7, 7, 16, 72, 3, 2, 1}, {1, 5, 6, 136, 8, 3, 1, 1},   {2, 21, 17, 3, 32, 3, 2, 1},
    {1, 9, 8, 3, 40, 3, 1, 1},  {3, 6, 4, 8, 8, 2, 2, 0},     {1, 7, 9, 16, 8, 3, 2, 0},
    {5, 1, 1, 8, 8, 3, 2, 1},   {2, 5, 6, 40, 8, 3, 1, 0}};

TEST(Conv2d, OnTensorCores) {
  for (const Case& c : kServed) check_case(c);
}

namespace {

// x's numbers in bf16 on the GPU, at an address that is, or is not, a multiple of 16 bytes.
Tensor on_gpu(const Tensor& x, bool aligned) {
  const int64_t first = aligned ? 0 : 1, n = x.numel();
  Tensor all = Tensor::zeros({n + first}, DType::bf16, Device::cuda);
  Tensor part = all.slice(first, first + n).view(x.shape());
  part.copy_from(x);
  return part;
}

struct Gradients {
  Tensor y, dx, dw, dbias;
  int64_t launches;  // of the emulated GPU
};
Gradients run(const Case& c, bool aligned) {
  const Tensor x = leaf(on_gpu(randn({c.B, c.H, c.W, c.I}, 1), aligned)),
               w = leaf(randn({c.O, c.I, c.k, c.k}, 2, 0, 0.3).to(DType::f32).to(Device::cuda)),
               bias = leaf(randn({c.O}, 3).to(DType::f32).to(Device::cuda));
  int64_t launches = 0;
#ifndef RMT_CUDA
  launches = emulator::counters().launches;
#endif
  const Tensor y = ops::conv2d(x, w, bias, c.stride, c.pad);
#ifndef RMT_CUDA
  launches = emulator::counters().launches - launches;
#endif
  backward(y, on_gpu(randn(y.shape(), 4), aligned));
  auto to_cpu = [](const Tensor& t) { return t.to(Device::cpu).to(DType::f64); };
  return {to_cpu(y), to_cpu(grad(x)), to_cpu(grad(w)), to_cpu(grad(bias)), launches};
}

}  // namespace

// The path through patches in memory takes tensors that are not aligned. Two results in bf16 are
// rounded once each, by 2^-9; through memory so are bias, and what a pixel gives to dx.
TEST(Conv2d, TensorCoresGiveWhatPatchesInMemoryDo) {
  if (!cuda::available()) return;
  for (const Case& c : kServed) {
    const Gradients fast = run(c, true), general = run(c, false);
    EXPECT_LT(relative_error(fast.y, general.y), 3 * 0x1p-9);
    EXPECT_LT(relative_error(fast.dx, general.dx), 3 * 0x1p-9);
    const double sums = 2 * (16 + std::sqrt(double(c.pixels()) / 6)) * 0x1p-24;
    EXPECT_LT(relative_error(fast.dw, general.dw), sums);
    EXPECT_LT(relative_error(fast.dbias, general.dbias), sums);
#ifndef RMT_CUDA
    EXPECT_EQ(fast.launches, 2) << "the filters' order, and the product";
    EXPECT_GT(general.launches, 2);
#endif
  }
}

namespace {

// Of each column of y: mean and sum of squares around it, then the number of rows.
std::vector<double> exact_moments(const Tensor& y) {
  const std::vector<double> all = y.to(Device::cpu).to(DType::f64).to_vector<double>();
  const size_t C = size_t(y.shape()[-1]), n = all.size() / C;
  std::vector<double> moments(2 * C + 1);
  for (size_t i = 0; i < all.size(); ++i) moments[i % C] += all[i];
  for (size_t c = 0; c < C; ++c) moments[c] /= double(n);
  for (size_t i = 0; i < all.size(); ++i)
    moments[C + i % C] += (all[i] - moments[i % C]) * (all[i] - moments[i % C]);
  moments[2 * C] = double(n);
  return moments;
}

}  // namespace

// Around means of 0: a tile's sums in f32 have 40 additions one behind the other, each of which
// rounds by 2^-24 of the sum of |y|, which is some deviations, or of y^2. Around 100 with deviation
// 1: y is a multiple of 1/2 and lies between 64 and 128, where nothing is rounded before the
// double, which has 2^-53; E[y^2] - E[y]^2 in f32 would be off by 6e-4.
TEST(Conv2d, LeavesMomentsOfWhatItWrites) {
  if (!cuda::available()) return;
  for (const Case& c : kServed)
    for (double of_mean : {0, 100}) {
      const Tensor x = on_gpu(randn({c.B, c.H, c.W, c.I}, 1), true),
                   w = randn({c.O, c.I, c.k, c.k}, 2, 0, 1 / std::sqrt(double(c.k * c.k * c.I)))
                           .to(DType::f32)
                           .to(Device::cuda),
                   bias = randn({c.O}, 3, of_mean, 1).to(DType::f32).to(Device::cuda);
      std::vector<std::vector<double>> found;
      Tensor y;
      for_thread_orders([&] {
        Tensor moments;
        y = ops::conv2d(x, w, bias, c.stride, c.pad, 1, &moments);
        found.push_back(moments.to(Device::cpu).to_vector<double>());
        EXPECT_EQ(found.back(), found[0]);
      });
      EXPECT_TRUE(
          same_bits(y.to(Device::cpu), ops::conv2d(x, w, bias, c.stride, c.pad).to(Device::cpu)));
      const std::vector<double> exact = exact_moments(y);
      ASSERT_EQ(found[0].size(), exact.size());
      EXPECT_EQ(found[0].back(), double(c.pixels()));
      for (size_t o = 0, O = size_t(c.O); o < O; ++o) {
        const double mean = exact[o], squares = exact[O + o],
                     sum = squares + exact.back() * mean * mean,  // of y^2
            off = of_mean ? 4 * 0x1p-53 : 40 * 0x1p-24;
        EXPECT_NEAR(found[0][o], mean, off * std::sqrt(sum / exact.back()));
        EXPECT_NEAR(found[0][O + o], squares, 3 * off * sum);  // y^2's, and twice y's
      }
    }
}

TEST(Conv2d, LeavesNoMomentsWhereNoKernelCan) {
  auto moments_of = [](Tensor x, Tensor w) {
    Tensor moments = Tensor::zeros({1});
    ops::conv2d(x, w, {}, 1, 1, 1, &moments);
    return moments;
  };
  EXPECT_FALSE(moments_of(Tensor::zeros({1, 4, 4, 8}), Tensor::zeros({8, 8, 3, 3})).defined());
  if (!cuda::available()) return;
  for (int64_t O : {0, 5, 8}) {
    const Tensor w = Tensor::zeros({O, 8, 3, 3}, DType::f32, Device::cuda);
    EXPECT_EQ(moments_of(Tensor::zeros({1, 4, 4, 8}, DType::bf16, Device::cuda), w).defined(),
              O == 8);
  }
}

// Groups of one channel and of several, as many filters and more, more than a block of them;
// channels in whole vectors and not.
TEST(Conv2d, Groups) {
  struct Case {
    int64_t B, H, W, I, O, k, stride, pad, groups;
  };
  for (Case c : {Case{2, 5, 7, 6, 4, 3, 1, 1, 2}, Case{1, 7, 6, 5, 5, 3, 2, 1, 5},
                 Case{2, 4, 3, 3, 9, 1, 1, 0, 3}, Case{1, 8, 5, 32, 16, 3, 1, 1, 4},
                 Case{1, 3, 4, 2, 202, 2, 1, 0, 2}, Case{0, 5, 5, 4, 4, 3, 1, 1, 2},
                 Case{2, 20, 23, 8, 8, 3, 1, 1, 8}}) {
    auto op = [c](Inputs in) {
      return ops::conv2d(in[0], in[1], in[2], c.stride, c.pad, c.groups);
    };
    check_op(str("conv2d ", c.groups, " groups"), op,
             {randn({c.B, c.H, c.W, c.I}, 1), randn({c.O, c.I / c.groups, c.k, c.k}, 2, 0, 0.3),
              randn({c.O}, 3)},
             options(c.stride, c.pad, c.groups));
  }
  check_op(
      "conv2d 2 groups without bias",
      [](Inputs in) { return ops::conv2d(in[0], in[1], {}, 1, 1, 2); },
      {randn({1, 4, 5, 4}, 1), randn({6, 2, 3, 3}, 2), Tensor()}, options(1, 1, 2));
}

TEST(Conv2d, Errors) {
  Tensor x = Tensor::zeros({1, 4, 4, 3});
  expect_error(
      [&] {
        ops::conv2d(x, Tensor::zeros({2, 4, 3, 3}), {}, 1, 1);
      },
      {"conv2d", "3 channels", "takes 4"});
  expect_error(
      [&] {
        ops::conv2d(x, Tensor::zeros({2, 3, 7, 7}), {}, 1, 1);
      },
      {"conv2d", "smaller than the filter"});
  expect_error([&] { ops::conv2d(x, Tensor::zeros({2, 3, 3, 3}), {}, 0, 1); }, {"stride 0"});
  expect_error(
      [&] {
        ops::conv2d(x, Tensor::zeros({4, 1, 3, 3}), {}, 1, 1, 2);
      },
      {"2 groups", "(1, 4, 4, 3)", "(4, 1, 3, 3)"});
  expect_error([&] { ops::conv2d(x, Tensor::zeros({4, 1, 3, 3}), {}, 1, 1, 3); }, {"3 groups"});
  expect_error(
      [&] {
        ops::conv2d(x, Tensor::zeros({3, 3, 3, 3}), {}, 1, 1, 3);
      },
      {"1 channels in each of 3 groups", "takes 3"});
  expect_error(
      [&] {
        ops::conv2d(x, Tensor::zeros({2, 3, 3, 3}), Tensor::zeros({3}), 1, 1);
      },
      {"bias is f32 (3)", "(2)"});
}

}  // namespace rmt::test
