#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/max_pool2d.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

struct Case {
  int64_t B, H, W, C, k, stride, pad;
};

Naive naive_max_pool(Case p) {
  return [p](Inputs in) {
    const int64_t OH = (p.H + 2 * p.pad - p.k) / p.stride + 1;
    const int64_t OW = (p.W + 2 * p.pad - p.k) / p.stride + 1;
    std::vector<double> y;
    for (int64_t b = 0; b < p.B; ++b)
      for (int64_t oy = 0; oy < OH; ++oy)
        for (int64_t ox = 0; ox < OW; ++ox)
          for (int64_t c = 0; c < p.C; ++c) {
            double most = -std::numeric_limits<double>::infinity();
            for (int64_t i = 0; i < p.k; ++i)
              for (int64_t j = 0; j < p.k; ++j) {
                const int64_t yy = oy * p.stride + i - p.pad, xx = ox * p.stride + j - p.pad;
                if (yy < 0 || yy >= p.H || xx < 0 || xx >= p.W) continue;
                most = std::max(most, in[0].data<double>()[((b * p.H + yy) * p.W + xx) * p.C + c]);
              }
            y.push_back(most);
          }
    return y;
  };
}

// y and dx for an upstream gradient of 1, 2, 3, ..., on the device in f32.
std::pair<std::vector<float>, std::vector<float>> pooled(const std::vector<float>& values,
                                                         const Shape& shape, int64_t k,
                                                         int64_t stride, int64_t pad,
                                                         Device device) {
  const Tensor x = leaf(Tensor::from(values, shape).to(device));
  const Tensor y = ops::max_pool2d(x, k, stride, pad);
  Tensor dy = Tensor::empty(y.shape());
  for (int64_t i = 0; i < dy.numel(); ++i) dy.data<float>()[i] = float(i + 1);
  backward(y, dy.to(device));
  return {y.to_vector<float>(), grad(x).to_vector<float>()};
}

std::vector<Device> devices() {
  if (!cuda::available()) return {Device::cpu};
  return {Device::cpu, Device::cuda};
}

}  // namespace

// Overlapping windows and gaps between them; every pad up to k / 2; channels in whole vectors and
// not.
TEST(MaxPool2d, Op) {
  for (Case p :
       {Case{1, 1, 1, 1, 1, 1, 0}, Case{2, 7, 13, 5, 3, 2, 1}, Case{1, 8, 6, 32, 2, 2, 0},
        Case{2, 9, 7, 57, 5, 1, 2}, Case{1, 7, 7, 8, 2, 3, 1}, Case{0, 5, 5, 3, 3, 2, 1},
        Case{1, 3, 49, 13, 3, 3, 0}, Case{1, 2, 2, 4, 6, 1, 3}, Case{2, 10, 10, 16, 1, 2, 0}})
    check_op(str("max_pool2d k", p.k, " s", p.stride, " p", p.pad),
             [p](Inputs in) { return ops::max_pool2d(in[0], p.k, p.stride, p.pad); },
             {randn({p.B, p.H, p.W, p.C}, 1)}, {.reference = naive_max_pool(p), .max_probes = 100});
}

// Over the whole map, which need not be square.
TEST(MaxPool2d, WholeMap) {
  auto naive = [](Inputs in) {
    const int64_t B = in[0].dim(0), L = in[0].dim(1) * in[0].dim(2), C = in[0].dim(3);
    std::vector<double> y(size_t(B * C), -std::numeric_limits<double>::infinity());
    for (int64_t i = 0; i < in[0].numel(); ++i) {
      double& most = y[size_t(i / (L * C) * C + i % C)];
      most = std::max(most, in[0].data<double>()[i]);
    }
    return y;
  };
  for (Shape shape : {Shape{1, 1, 1, 1}, Shape{2, 7, 13, 5}, Shape{3, 13, 7, 32},
                      Shape{2, 1, 49, 57}, Shape{0, 7, 7, 5}})
    check_op("max_pool", [](Inputs in) { return ops::max_pool(in[0]); }, {randn(shape, 1)},
             {.reference = naive, .max_probes = 100});
  expect_error([] { ops::max_pool(Tensor::zeros({2, 3, 4})); }, {"max_pool", "(2, 3, 4)"});
  expect_error([] { ops::max_pool(Tensor::zeros({1, 1, 4097, 1})); }, {"max_pool", "4096"});
}

TEST(MaxPool2d, TheFirstOfEqualsGetsTheGradient) {
  for (Device device : devices()) {
    const auto [y, dx] = pooled({2, 2, 1, 1, 1, 2, 2, 0}, {1, 2, 4, 1}, 2, 1, 0, device);
    EXPECT_EQ(y, (std::vector<float>{2, 2, 2}));
    // Rows 2 2 1 1 and 1 2 2 0: the maxima are pixels (0, 0), (0, 1) and (1, 2).
    EXPECT_EQ(dx, (std::vector<float>{1, 2, 0, 0, 0, 0, 3, 0}));
  }
}

TEST(MaxPool2d, NanAndMinusInfinity) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (Device device : devices()) {
    const auto [y, dx] = pooled({nan, 5, 1, 5, nan, 7}, {1, 1, 6, 1}, 1, 1, 0, device);
    EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[4]));
    const auto [z, dz] = pooled({nan, 5, 1, 5, 7, nan, 3, 4, -inf, -inf, 0, 0, -inf, -inf, 0, 0},
                                {1, 4, 4, 1}, 2, 2, 0, device);
    EXPECT_TRUE(std::isnan(z[0]));
    EXPECT_EQ(z[1], 5);
    EXPECT_EQ(z[2], -inf);
    EXPECT_EQ(z[3], 0);
    // Windows of -inf alone, and of NaN, have a winner as others have: pixel (2, 0) is the first of
    // equals, and (1, 1) the last NaN.
    EXPECT_EQ(dz, (std::vector<float>{0, 0, 0, 2, 0, 1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0}));
  }
}

TEST(MaxPool2d, Errors) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3});
  expect_error([] { ops::max_pool2d({}, 2, 2, 0); }, {"max_pool2d", "undefined"});
  expect_error([] { ops::max_pool2d(Tensor::zeros({2, 3, 4}), 2, 2, 0); }, {"(2, 3, 4)"});
  expect_error([&] { ops::max_pool2d(x, 0, 2, 0); }, {"windows of 0"});
  expect_error([&] { ops::max_pool2d(x, 2, 0, 0); }, {"steps of 0"});
  expect_error([&] { ops::max_pool2d(x, 3, 2, 2); }, {"pad 2 of windows of 3"});
  expect_error([&] { ops::max_pool2d(x, 5, 1, 0); },
               {"(1, 4, 4, 3)", "smaller than a window of 5"});
}

}  // namespace rmt::test
