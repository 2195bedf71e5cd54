// What is dropped: a function of (seed, step, layer, sample, channel), the same on every device.
#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/device.h"
#include "nn/dropout.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Tensor step_on(Device device, int64_t step) { return Tensor::from<int64_t>({step}, {}).to(device); }

constexpr ops::DropoutOptions kOptions{.seed = 0x123456789abcdef0, .layer = 37, .rate = 0.3};

// What ones become.
std::vector<float> factors(Device device, const Shape& shape, int64_t step,
                           const ops::DropoutOptions& o) {
  const Tensor ones = Tensor::full(shape, 1, DType::f32, device);
  return ops::drop_channels(ones, step_on(device, step), o).to_vector<float>();
}

}  // namespace

// The lots are those of dropout on (B, C), each for all the pixels of its channel.
TEST(DropChannels, Op) {
  const int64_t step = 11;
  for (int64_t first_sample : {0, 3})
    for (Shape shape : {Shape{5, 2}, Shape{7, 13}, Shape{2, 7, 57}, Shape{3, 5, 7, 16},
                        Shape{0, 5, 4}, Shape{2, 0, 4}, Shape{2, 3, 1000}}) {
      ops::DropoutOptions o = kOptions;
      o.first_sample = first_sample;
      auto op = [&](Inputs in) {
        return ops::drop_channels(in[0], step_on(in[0].device(), step), o);
      };
      auto naive = [&](Inputs in) {
        std::vector<double> y = in[0].to_vector<double>();
        const int64_t B = shape[0], C = shape[-1], size = B ? in[0].numel() / B : 0;
        for (int64_t i = 0; i < in[0].numel(); ++i) {
          Random random(o.seed, Purpose::dropout, uint64_t(step), uint64_t(o.layer));
          const int64_t lot = (first_sample + i / size) * C + i % C;
          uint32_t bits = random.bits();
          for (int64_t k = 0; k < lot; ++k) bits = random.bits();
          double& v = y[size_t(i)];
          v = bits * 0x1p-32 < 0.3 ? 0 : v / (1 - 0.3);
        }
        return y;
      };
      check_op("drop_channels", op, {randn(shape)}, {.reference = naive, .max_probes = 50});
    }
}

TEST(DropChannels, DropsAtItsRateAndKeepsTheMean) {
  const int64_t n = 20000;
  for (double rate : {0.0, 0.1, 0.5, 0.9}) {
    int64_t dropped = 0;
    for (float y : factors(Device::cpu, {2, n / 2}, 3, {.seed = 1, .layer = 2, .rate = rate})) {
      ASSERT_TRUE(y == 0 || y == float(1 / (1 - rate))) << y;
      dropped += y == 0;
    }
    EXPECT_LE(std::fabs(double(dropped) - rate * double(n)),
              5 * std::sqrt(rate * (1 - rate) * double(n)))
        << "5 sigma of the binomial distribution, rate " << rate;
  }
}

TEST(DropChannels, DependsOnSeedStepLayerSampleAndChannelAlone) {
  ops::DropoutOptions o = kOptions;
  const std::vector<float> y = factors(Device::cpu, {8, 1, 20}, 7, o);
  EXPECT_NE(factors(Device::cpu, {8, 1, 20}, 8, o), y);
  ++o.layer;
  EXPECT_NE(factors(Device::cpu, {8, 1, 20}, 7, o), y);
  // The second half of a batch draws what it draws inside of the whole, and so do larger maps.
  o = kOptions;
  o.first_sample = 4;
  const std::vector<float> half = factors(Device::cpu, {4, 3, 20}, 7, o);
  for (size_t i = 0; i < half.size(); ++i) EXPECT_EQ(half[i], y[(4 + i / 60) * 20 + i % 20]);
}

TEST(DropChannels, DevicesAgreeBitForBit) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for (int64_t C : {1, 4, 7, 1000})
    for (int64_t step : {int64_t(0), int64_t(5), int64_t(1) << 33}) {
      ops::DropoutOptions o = kOptions;
      o.first_sample = 1001;
      EXPECT_EQ(factors(Device::cuda, {3, 2, C}, step, o), factors(Device::cpu, {3, 2, C}, step, o))
          << C << " channels, step " << step;
    }
}

TEST(DropChannels, WhatIsDroppedIsZeroEvenIfItIsNotFinite) {
  const Tensor x = Tensor::full({1, 2, 50}, INFINITY);
  const Tensor y = ops::drop_channels(x, step_on(Device::cpu, 1), kOptions);
  int64_t zeros = 0;
  for (float v : y.to_vector<float>()) {
    EXPECT_TRUE(v == 0 || v == INFINITY) << v;
    zeros += v == 0;
  }
  EXPECT_GT(zeros, 0);
}

TEST(DropChannels, OfAModuleIsTheIdentityInEvaluationOrAtRateZero) {
  nn::DropoutOfChannels drop(0.5, 4), none(0, 4);
  const Tensor x = randn({7, 2, 13});
  EXPECT_EQ(drop.forward(x).raw(), x.raw());
  none.mode().training = true;
  EXPECT_EQ(none.forward(x).raw(), x.raw());
  drop.mode() = {.training = true, .seed = 9, .step = 2, .first_sample = 5};
  EXPECT_EQ(
      drop.forward(Tensor::full({3, 2, 4}, 1)).to_vector<float>(),
      factors(Device::cpu, {3, 2, 4}, 2, {.seed = 9, .layer = 4, .first_sample = 5, .rate = 0.5}));
  // The step on the GPU, which a recorded training step changes, counts before the one of the host.
  if (!cuda::available()) return;
  drop.mode().step_on_gpu = step_on(Device::cuda, 3);
  EXPECT_EQ(
      drop.forward(Tensor::full({3, 2, 4}, 1, DType::f32, Device::cuda)).to_vector<float>(),
      factors(Device::cpu, {3, 2, 4}, 3, {.seed = 9, .layer = 4, .first_sample = 5, .rate = 0.5}));
}

TEST(DropChannels, Errors) {
  const Tensor x = Tensor::zeros({3, 2}), step = Tensor::zeros({}, DType::i64);
  expect_error([&] { ops::drop_channels({}, step, {}); }, {"drop_channels", "x is undefined"});
  expect_error([&] { ops::drop_channels(Tensor::zeros({3}), step, {}); }, {"(3)", "(B, ..., C)"});
  expect_error([&] { ops::drop_channels(x, Tensor::zeros({}), {}); }, {"step", "f32"});
  expect_error([&] { ops::drop_channels(x, step, {.rate = 1}); }, {"drop_channels", "rate 1"});
  expect_error([&] { ops::drop_channels(x, step, {.layer = -1}); }, {"layer -1"});
  expect_error([&] { ops::drop_channels(x, step, {.first_sample = int64_t(1) << 33}); }, {"2^34"});
  expect_error([&] { nn::DropoutOfChannels(-0.1, 0); }, {"-0.1"});
}

}  // namespace rmt::test
