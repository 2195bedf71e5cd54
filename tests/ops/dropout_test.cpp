// What is dropped: a function of (seed, step, layer, element), the same on every device.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/graph.h"
#include "nn/dropout.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

Tensor step_on(Device device, int64_t step) { return Tensor::from<int64_t>({step}, {}).to(device); }

// What ones become.
std::vector<float> factors(Device device, const Shape& shape, int64_t step,
                           const ops::DropoutOptions& o) {
  const Tensor ones = Tensor::full(shape, 1, DType::f32, device);
  return ops::dropout(ones, step_on(device, step), o).to_vector<float>();
}

constexpr ops::DropoutOptions kOptions{.seed = 0x123456789abcdef0, .layer = 37, .rate = 0.3};

}  // namespace

TEST(Dropout, Op) {
  const int64_t step = 11;
  for (int64_t first_sample : {0, 3})
    for (Shape shape : {Shape{2}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11004}}) {
      ops::DropoutOptions o = kOptions;
      o.first_sample = first_sample;
      auto op = [&](Inputs in) { return ops::dropout(in[0], step_on(in[0].device(), step), o); };
      auto naive = [&](Inputs in) {
        std::vector<double> y = in[0].to_vector<double>();
        Random random(o.seed, Purpose::dropout, uint64_t(step), uint64_t(o.layer));
        for (size_t i = 0; i < size_t(first_sample) * y.size() / size_t(shape[0] ? shape[0] : 1);
             ++i)
          random.bits();
        for (double& v : y) v = random.bits() * 0x1p-32 < 0.3 ? 0 : v / (1 - 0.3);
        return y;
      };
      check_op("dropout", op, {randn(shape)}, {.reference = naive, .max_probes = 100});
    }
}

TEST(Dropout, DropsAtItsRateAndKeepsTheMean) {
  const int64_t n = 20000;
  for (double rate : {0.0, 0.1, 0.5, 0.9}) {
    int64_t dropped = 0;
    for (float y : factors(Device::cpu, {n}, 3, {.seed = 1, .layer = 2, .rate = rate})) {
      ASSERT_TRUE(y == 0 || y == float(1 / (1 - rate))) << y;
      dropped += y == 0;
    }
    EXPECT_LE(std::fabs(double(dropped) - rate * double(n)),
              5 * std::sqrt(rate * (1 - rate) * double(n)))
        << "5 sigma of the binomial distribution, rate " << rate;
  }
}

TEST(Dropout, DependsOnSeedStepLayerAndElementAlone) {
  const Shape batch{8, 3, 5}, half{4, 3, 5};
  ops::DropoutOptions o = kOptions;
  const std::vector<float> y = factors(Device::cpu, batch, 7, o);
  EXPECT_EQ(factors(Device::cpu, batch, 7, o), y);
  EXPECT_NE(factors(Device::cpu, batch, 8, o), y);
  for (void (*change)(ops::DropoutOptions&) :
       {+[](ops::DropoutOptions& d) { ++d.layer; }, +[](ops::DropoutOptions& d) { ++d.seed; },
        +[](ops::DropoutOptions& d) { d.seed += uint64_t(1) << 32; }}) {
    ops::DropoutOptions other = o;
    change(other);
    EXPECT_NE(factors(Device::cpu, batch, 7, other), y);
  }
  // The second half of a batch draws what it draws inside of the whole.
  o.first_sample = 4;
  EXPECT_EQ(factors(Device::cpu, half, 7, o), std::vector<float>(y.begin() + 60, y.end()));
}

TEST(Dropout, DevicesAgreeBitForBit) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for (int64_t C : {1, 4, 7, 1000})
    for (int64_t step : {int64_t(0), int64_t(5), int64_t(1) << 33}) {
      ops::DropoutOptions o = kOptions;
      o.first_sample = 1001;
      EXPECT_EQ(factors(Device::cuda, {3, C}, step, o), factors(Device::cpu, {3, C}, step, o))
          << C << " columns, step " << step;
    }
}

TEST(Dropout, ARecordingDrawsAnewForEachStepForwardAndBackward) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  nn::Dropout drop(0.5, 4);
  drop.mode() = {.training = true, .seed = 9, .step = 1, .step_on_gpu = step_on(Device::cuda, 0)};
  const Tensor x = leaf(Tensor::full({64, 2}, 1, DType::f32, Device::cuda));
  const Tensor ones = Tensor::full({64, 2}, 1, DType::f32, Device::cuda);
  const ops::DropoutOptions o{.seed = 9, .layer = 4, .rate = 0.5};
  Tensor y, dx;
  cuda::Graph graph;
  graph.capture([&] {
    y = drop.forward(x);
    backward(y, ones);
    dx = grad(x);
  });
  for (int64_t step : {3, 4}) {
    drop.mode().step_on_gpu.copy_from(Tensor::from<int64_t>({step}, {}));
    graph.launch();
    const std::vector<float> expected = factors(Device::cpu, {64, 2}, step, o);
    EXPECT_EQ(y.detach().to_vector<float>(), expected);
    EXPECT_EQ(dx.to_vector<float>(), expected);
  }
  // Without a step on the GPU, the one on the host counts.
  drop.mode().step_on_gpu = Tensor();
  EXPECT_EQ(drop.forward(ones).to_vector<float>(), factors(Device::cpu, {64, 2}, 1, o));
}

TEST(Dropout, OfAModuleIsTheIdentityInEvaluationOrAtRateZero) {
  nn::Dropout drop(0.5, 4), none(0, 4);
  const Tensor x = randn({7, 13});
  EXPECT_EQ(drop.forward(x).raw(), x.raw());
  none.mode().training = true;
  EXPECT_EQ(none.forward(x).raw(), x.raw());
  drop.mode() = {.training = true, .seed = 9, .step = 2, .first_sample = 5};
  EXPECT_EQ(
      drop.forward(Tensor::full({3, 4}, 1)).to_vector<float>(),
      factors(Device::cpu, {3, 4}, 2, {.seed = 9, .layer = 4, .first_sample = 5, .rate = 0.5}));
}

TEST(Dropout, Errors) {
  const Tensor x = Tensor::zeros({3}), step = Tensor::zeros({}, DType::i64);
  expect_error([&] { ops::dropout({}, step, {}); }, {"dropout", "x is undefined"});
  expect_error([&] { ops::dropout(Tensor::zeros({}), step, {}); }, {"dropout", "(B, ...)"});
  expect_error([&] { ops::dropout(x, Tensor::zeros({}), {}); }, {"dropout", "step", "f32"});
  expect_error([&] { ops::dropout(x, step, {.rate = 1}); }, {"dropout", "rate 1"});
  expect_error([&] { ops::dropout(x, step, {.layer = -1}); }, {"dropout", "layer -1"});
  expect_error([&] { ops::dropout(x, step, {.first_sample = int64_t(1) << 34}); },
               {"dropout", "2^34"});
  expect_error([&] { nn::Dropout(-0.1, 0); }, {"-0.1"});
}

}  // namespace rmt::test
