// Which branches are dropped: a function of (seed, step, layer, sample), the same on every device.
#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/graph.h"
#include "nn/drop_path.h"
#include "ops/drop_path.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

std::vector<double> factors(Device device, DType dtype, int64_t B, int64_t step,
                            const ops::DropPathOptions& o, int64_t layers = 1) {
  const Tensor s = Tensor::empty({layers, B}, dtype, device);
  ops::drop_path_factors(s, Tensor::full({}, double(step), DType::i64, device), o);
  return s.to(Device::cpu).to(DType::f64).to_vector<double>();
}

}  // namespace

TEST(DropPath, DropsAtItsRateAndKeepsTheMean) {
  const int64_t B = 20000;
  for (double rate : {0.0, 0.1, 0.5, 0.9}) {
    int64_t dropped = 0;
    for (double s : factors(Device::cpu, DType::f64, B, 3, {.seed = 1, .layer = 2, .rate = rate})) {
      ASSERT_TRUE(s == 0 || s == 1 / (1 - rate)) << s;
      dropped += s == 0;
    }
    EXPECT_LE(std::fabs(double(dropped) - rate * double(B)),
              5 * std::sqrt(rate * (1 - rate) * double(B)))
        << "5 sigma of the binomial distribution, rate " << rate;
  }
}

TEST(DropPath, DependsOnSeedStepLayerAndSampleAlone) {
  const ops::DropPathOptions o{.seed = 1, .layer = 2, .first_sample = 0, .rate = 0.5};
  auto run = [](int64_t step, const ops::DropPathOptions& options) {
    return factors(Device::cpu, DType::f32, 64, step, options);
  };
  const std::vector<double> s = run(7, o);
  EXPECT_EQ(run(7, o), s);
  EXPECT_NE(run(8, o), s);
  EXPECT_NE(run(7, {.seed = 1 + (uint64_t(1) << 32), .layer = 2, .rate = 0.5}), s);
  EXPECT_NE(run(7, {.seed = 1, .layer = 3, .rate = 0.5}), s);
  // The second half of a batch draws what it draws inside of the whole.
  EXPECT_EQ(factors(Device::cpu, DType::f32, 32, 7,
                    {.seed = 1, .layer = 2, .first_sample = 32, .rate = 0.5}),
            std::vector<double>(s.begin() + 32, s.end()));
  // Two layers at once draw what each draws alone.
  std::vector<double> both = s;
  for (double x : run(7, {.seed = 1, .layer = 3, .rate = 0.5})) both.push_back(x);
  EXPECT_EQ(factors(Device::cpu, DType::f32, 64, 7, o, 2), both);
}

TEST(DropPath, DevicesAgreeBitForBit) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for (int64_t B : {0, 1, 300})
    for (int64_t step : {int64_t(0), int64_t(5), int64_t(1) << 33})
      for (DType dtype : {DType::f32, DType::f64}) {
        const ops::DropPathOptions o{
            .seed = 0x123456789abcdef0, .layer = 37, .first_sample = 1000, .rate = 0.3};
        EXPECT_EQ(factors(Device::cuda, dtype, B, step, o, 3),
                  factors(Device::cpu, dtype, B, step, o, 3))
            << "batch " << B << ", step " << step;
      }
}

TEST(DropPath, ARecordingDrawsAnewForEachStep) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  nn::DropPath drop(0.5, 4);
  drop.mode() = {.training = true,
                 .seed = 9,
                 .step = 1,
                 .step_on_gpu = Tensor::zeros({}, DType::i64, Device::cuda)};
  const Tensor x = Tensor::zeros({64, 2}, DType::f32, Device::cuda);
  const auto drawn = [](const std::array<Tensor, 2>& s, int64_t step) {
    for (int64_t l : {0, 1})
      EXPECT_EQ(
          s[size_t(l)].to(Device::cpu).to(DType::f64).to_vector<double>(),
          factors(Device::cpu, DType::f32, 64, step, {.seed = 9, .layer = 8 + l, .rate = 0.5}))
          << "branch " << l << ", step " << step;
  };
  std::array<Tensor, 2> s;
  cuda::Graph graph;
  graph.capture([&] { s = drop.factors(x); });
  for (int64_t step : {3, 4}) {
    drop.mode().step_on_gpu.copy_from(Tensor::from<int64_t>({step}, {}));
    graph.launch();
    drawn(s, step);
  }
  // Without a step on the GPU, the one on the host counts.
  drop.mode().step_on_gpu = Tensor();
  drawn(drop.factors(x), 1);
  drop.mode().training = false;
  EXPECT_FALSE(drop.factors(x)[0].defined() || drop.factors(x)[1].defined());
}

TEST(DropPath, RefusesWhatMakesNoSense) {
  const Tensor s = Tensor::empty({1, 3}), step = Tensor::zeros({}, DType::i64);
  expect_error([&] { ops::drop_path_factors(Tensor::empty({3}), step, {}); },
               {"drop_path_factors", "(3)", "(layers, B)"});
  expect_error([&] { ops::drop_path_factors(s, step, {.rate = 1}); },
               {"drop_path_factors", "rate 1"});
  expect_error([&] { ops::drop_path_factors(s, Tensor::zeros({}), {}); },
               {"drop_path_factors", "step", "f32"});
  expect_error([&] { nn::DropPath(-0.1, 0); }, {"-0.1"});
}

}  // namespace rmt::test
