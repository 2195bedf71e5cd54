#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/device.h"
#include "core/parallel.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
using namespace train;
namespace {

struct Parameters : nn::Module {
  Tensor &weight, &bias, &gamma, &idle;
  Parameters(int64_t O, int64_t I)
      : weight(parameter("fc.weight", {O, I})),
        bias(parameter("fc.bias", {O})),
        gamma(parameter("gamma_1", {1, 1, 1, O})),
        idle(parameter("idle", {O, I})) {}
  void fill(DType dtype) {
    to(dtype);
    uint64_t seed = 1;
    for (const nn::Entry& e : parameters()) e.tensor->copy_from(randn(e.tensor->shape(), seed++));
  }
  void draw_gradients(uint64_t seed) {
    for (Tensor* p : {&weight, &bias, &gamma})
      set_grad(*p, randn(p->shape(), seed++).to(p->dtype()));
  }
};

// The same number, worked out alone and in double.
struct Plain {
  double p, m = 0, v = 0;
  void step(double g, double lr, double decay, int t) {
    p *= 1 - lr * decay;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    p -=
        lr / (1 - std::pow(0.9, t)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.999, t)) + 1e-8);
  }
};

// 12 steps of a falling lr; the largest |ours - plain| over all elements.
double drift(DType dtype) {
  Parameters model(37,
                   501);  // a tail beyond whole vectors, more than one piece of the parallel loop
  model.fill(dtype);
  AdamW optimizer(model.parameters(), {});
  std::vector<std::vector<Plain>> plain;
  for (Tensor* p : {&model.weight, &model.bias, &model.gamma}) {
    plain.emplace_back();
    for (double x : p->to(DType::f64).to_vector<double>()) plain.back().push_back({x});
  }
  double worst = 0;
  for (int t = 1; t <= 12; ++t) {
    double lr = 0.01 / t;
    model.draw_gradients(uint64_t(100 * t));
    optimizer.step(lr);
    size_t which = 0;
    for (Tensor* p : {&model.weight, &model.bias, &model.gamma}) {
      std::vector<double> g = grad(*p).to(DType::f64).to_vector<double>(),
                          x = p->to(DType::f64).to_vector<double>();
      for (size_t i = 0; i < x.size(); ++i) {
        plain[which][i].step(g[i], lr, p == &model.bias ? 0 : 0.05, t);
        worst = std::max(worst, std::fabs(x[i] - plain[which][i].p));
      }
      ++which;
    }
  }
  return worst;
}

}  // namespace

TEST(AdamW, FollowsTheFormula) {
  // |p| stays below 8. Each step rounds p twice (2 x 4 u with u = 2^-53) and its change of at most
  // a few lr by some 10 roundings of its own: 12 steps leave less than 12 x 16 u. f32 likewise with
  // u = 2^-24.
  EXPECT_LE(drift(DType::f64), 12 * 16 * 0x1p-53);
  EXPECT_LE(drift(DType::f32), 12 * 16 * 0x1p-24);
}

TEST(AdamW, FirstStepMovesByTheLearningRateAgainstTheSign) {
  // m / (1 - b1) = g and v / (1 - b2) = g^2, so p - lr wd p - lr g / (|g| + eps).
  Parameters model(3, 2);
  model.fill(DType::f64);
  std::vector<double> before = model.weight.to_vector<double>();
  AdamW optimizer(model.parameters(), {.weight_decay = 0.25});
  model.draw_gradients(5);
  optimizer.step(0.125);
  for (size_t i = 0; i < 6; ++i) {
    double g = grad(model.weight).data<double>()[i];
    EXPECT_NEAR(model.weight.data<double>()[i],
                before[i] * (1 - 0.125 * 0.25) - 0.125 * g / (std::fabs(g) + 1e-8), 16 * 0x1p-52);
  }
}

TEST(AdamW, OfficialGroups) {
  EXPECT_TRUE(decays("layers.0.blocks.0.ffn.fc1.weight", {64, 32}));
  EXPECT_TRUE(decays("layers.0.blocks.0.pos.conv.weight", {64, 1, 3, 3}));
  EXPECT_TRUE(decays("layers.2.blocks.0.gamma_1", {1, 1, 1, 320}))
      << "RMT.md 4.1: rank 4, so it decays";
  EXPECT_FALSE(decays("norm.weight", {1024}));
  EXPECT_FALSE(decays("scale", {}));
  EXPECT_FALSE(decays("odd.bias", {2, 2}));

  Parameters model(4, 3);
  model.fill(DType::f64);
  AdamW optimizer(model.parameters(), {.weight_decay = 0.5});
  for (Tensor* p : {&model.weight, &model.bias, &model.gamma}) set_grad(*p, Tensor::zeros_like(*p));
  std::vector<double> weight = model.weight.to_vector<double>(),
                      bias = model.bias.to_vector<double>(),
                      gamma = model.gamma.to_vector<double>();
  optimizer.step(0.5);  // without a gradient nothing but the decay moves; 1 - 0.25 is exact
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(model.weight.data<double>()[i], 0.75 * weight[i]);
    EXPECT_EQ(model.gamma.data<double>()[i], 0.75 * gamma[i]);
    EXPECT_EQ(model.bias.data<double>()[i], bias[i]);
  }
}

TEST(AdamW, ParameterWithoutGradientStaysAndItsClockStands) {
  Parameters model(4, 3);
  model.fill(DType::f32);
  std::vector<float> before = model.idle.to_vector<float>();
  AdamW optimizer(model.parameters(), {});
  for (uint64_t t = 0; t < 3; ++t) {
    model.draw_gradients(t);
    optimizer.step(0.1);
  }
  EXPECT_EQ(model.idle.to_vector<float>(), before);
  for (const AdamW::Slot& s : optimizer.slots()) EXPECT_EQ(s.t, s.name == "idle" ? 0 : 3) << s.name;
}

TEST(AdamW, SameBitsForAnyNumberOfThreads) {
  int before = threads();
  std::vector<std::vector<float>> results;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    Parameters model(37, 5001);
    model.fill(DType::f32);
    AdamW optimizer(model.parameters(), {});
    for (uint64_t t = 0; t < 2; ++t) {
      model.draw_gradients(t);
      optimizer.step(0.1);
    }
    results.push_back(model.weight.to_vector<float>());
  }
  set_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

// --- what surrounds the formula: parts, clipping, rules, averages, steps that do not count; on the
// CPU and on the GPU ---

namespace {

struct WithStatistics : Parameters {
  Tensor &mean, &count;
  WithStatistics()
      : Parameters(67, 131),
        mean(buffer("norm.running_mean", Tensor::zeros({67}))),
        count(buffer("norm.count", Tensor::zeros({}, DType::i64))) {}
  WithStatistics& on(Device device) {
    fill(DType::f32);
    nn::Module::to(device);
    return *this;
  }
  void set_gradients(double scale, uint64_t seed) {
    for (Tensor* p : {&weight, &bias, &gamma})
      set_grad(*p, (randn(p->shape(), seed++, 0, scale)).to(DType::f32).to(p->device()));
  }
};

Verdict verdict_of(const AdamW& optimizer) {
  const Tensor v = optimizer.verdict().to(Device::cpu);
  return {v.data<float>()[0], v.data<float>()[1], v.data<float>()[2]};
}

Tensor scalar(double x, Device device) { return Tensor::full({}, x, DType::f32, device); }

std::vector<Device> devices() {
  std::vector<Device> all = {Device::cpu};
  if (cuda::available()) all.push_back(Device::cuda);
  return all;
}

double norm_of_gradients(nn::Module& model) {
  double squares = 0;
  for (const nn::Entry& e : model.parameters())
    if (const Tensor g = grad(*e.tensor); g.defined())
      for (float x : g.to_vector<float>()) squares += double(x) * double(x);
  return std::sqrt(squares);
}

}  // namespace

TEST(AdamW, GradientsAreAveragedOverThePartsAndClippedToTheNorm) {
  for (Device device : devices()) {
    WithStatistics model, plain;
    model.on(device), plain.on(device);
    AdamW optimizer(model.parameters(), {.clip = 2, .parts = 4}), reference(plain.parameters(), {});
    for (uint64_t t = 1; t <= 3; ++t) {
      const double scale = t == 2 ? 1e-3 : 10;  // the second one's norm is below 2
      model.set_gradients(scale, 10 * t), plain.set_gradients(scale, 10 * t);
      const double norm = norm_of_gradients(model) / 4;
      ASSERT_EQ(norm > 2, t != 2);
      const double factor = (norm > 2 ? 2 / (norm + 1e-6) : 1) / 4;
      for (Tensor* p : {&plain.weight, &plain.bias, &plain.gamma}) {
        std::vector<float> g = grad(*p).to_vector<float>();
        for (float& x : g) x *= float(factor);
        set_grad(*p, Tensor::from<float>(g, p->shape()).to(device));
      }
      optimizer.step(0.01, scalar(6, device)), reference.step(0.01);
      const Verdict v = verdict_of(optimizer);
      EXPECT_EQ(v.loss, 1.5f);
      EXPECT_NEAR(v.norm, norm, norm * 0x1p-23)
          << "the norm is worked out in double and rounded once";
      EXPECT_EQ(v.bad, -1);
    }
    // Both round gradient x factor once and then do the same.
    EXPECT_EQ(model.weight.to_vector<float>(), plain.weight.to_vector<float>()) << device;
    EXPECT_EQ(model.bias.to_vector<float>(), plain.bias.to_vector<float>());
  }
}

TEST(AdamW, AStepThatIsNotFiniteMovesNothingNamesTheFirstParameterAndGivesTheStatisticsBack) {
  for (Device device : devices()) {
    WithStatistics model;
    model.on(device);
    model.mean.fill(1);
    AdamW optimizer(model.parameters(), {.ema_decay = 0.5}, {}, model.state());
    ASSERT_EQ(optimizer.statistics().size(), 1u) << "the count is none, parameters are none";
    model.set_gradients(1, 5);
    model.mean.fill(2);
    optimizer.step(0.1, scalar(1, device));
    EXPECT_EQ(optimizer.statistics()[0].ema.to_vector<float>()[66], 1.5f);

    const std::vector<float> weight = model.weight.to_vector<float>();
    auto poison = [&](Tensor& p, double value) {
      std::vector<float> g = grad(p).to_vector<float>();
      g.back() = float(value);
      set_grad(p, Tensor::from<float>(g, p.shape()).to(device));
    };
    for (double value : {double(NAN), double(-INFINITY)}) {
      model.set_gradients(1, 6);
      poison(model.gamma, value), poison(model.bias, value);
      model.mean.fill(NAN);
      optimizer.step(0.1, scalar(1, device));
      const Verdict v = verdict_of(optimizer);
      EXPECT_FALSE(v.finite());
      EXPECT_EQ(v.bad, 1) << "the bias, in the model's order, on " << device;
      EXPECT_EQ(model.weight.to_vector<float>(), weight);
      EXPECT_EQ(model.mean.to_vector<float>(), std::vector<float>(67, 2));
      EXPECT_EQ(optimizer.statistics()[0].ema.to_vector<float>()[66], 1.5f);
      EXPECT_EQ(optimizer.slots()[0].t, 1);
    }
    model.set_gradients(1, 7);
    model.mean.fill(3);
    optimizer.step(0.1, scalar(NAN, device));  // every gradient is fine
    EXPECT_EQ(verdict_of(optimizer).bad, -1);
    EXPECT_EQ(model.mean.to_vector<float>()[0], 2);
    optimizer.step(0.1, scalar(1, device));
    EXPECT_NE(model.weight.to_vector<float>(), weight);
    EXPECT_EQ(optimizer.slots()[0].t, 2);
  }
}

TEST(AdamW, AveragesFollowAndChangePlacesWithTheWeights) {
  for (Device device : devices()) {
    WithStatistics model;
    model.on(device);
    if (device == Device::cuda) model.make_shadows(DType::bf16);
    AdamW optimizer(model.parameters(), {.ema_decay = 0.75}, {}, model.state());
    std::vector<double> average = model.weight.to(DType::f64).to_vector<double>();
    for (uint64_t t = 1; t <= 3; ++t) {
      model.set_gradients(1, t);
      model.mean.fill(double(t));
      optimizer.step(0.1);
      const std::vector<float> now = model.weight.to_vector<float>();
      for (size_t i = 0; i < now.size(); ++i) average[i] += 0.25 * (double(now[i]) - average[i]);
    }
    const std::vector<float> before = model.weight.to_vector<float>();
    optimizer.swap_averages();
    const std::vector<float> swapped = model.weight.to_vector<float>();
    for (size_t i = 0; i < swapped.size(); ++i)
      ASSERT_NEAR(swapped[i], average[i], 8 * 4 * 0x1p-24);  // |w| < 8, three roundings and one
    EXPECT_EQ(model.mean.to_vector<float>()[0], 0.75f * (0.75f * 0.25f + 0.5f) + 0.75f)
        << "of 0, 1, 2, 3";
    if (device == Device::cuda) {
      EXPECT_EQ(float(in_dtype(model.weight, DType::bf16).to_vector<bf16>()[9]),
                float(bf16(swapped[9])));
    }
    optimizer.swap_averages();
    EXPECT_EQ(model.weight.to_vector<float>(), before);
    EXPECT_EQ(model.mean.to_vector<float>()[0], 3);

    model.weight.fill(4), model.mean.fill(5);
    optimizer.restart_averages();
    EXPECT_EQ(optimizer.slots()[0].ema.to_vector<float>()[3], 4);
    model.mean.fill(6);
    optimizer.restore_statistics();
    EXPECT_EQ(model.mean.to_vector<float>()[3], 5);
  }
}

TEST(AdamW, RulesScaleTheRateAndFreeze) {
  for (Device device : devices()) {
    WithStatistics model, plain;
    model.on(device), plain.on(device);
    std::vector<ParameterRule> rules(4);
    rules[0] = {.lr_scale = 0.25, .weight_decay = 0.5}, rules[1].frozen = true;
    AdamW optimizer(model.parameters(), {}, rules),
        reference(plain.parameters(), {.weight_decay = 0.5});
    EXPECT_EQ(optimizer.slots().size(), 3u);
    const std::vector<float> bias = model.bias.to_vector<float>();
    model.set_gradients(1, 3), plain.set_gradients(1, 3);
    optimizer.step(0.2), reference.step(0.05);
    EXPECT_EQ(model.weight.to_vector<float>(), plain.weight.to_vector<float>()) << device;
    EXPECT_EQ(model.bias.to_vector<float>(), bias);
  }
  WithStatistics model;
  expect_error([&] { AdamW(model.parameters(), {}, std::vector<ParameterRule>(3)); },
               {"3 rules", "4 parameters"});
}

// --- on the GPU: one kernel over all parameters ---

namespace {

using AdamWOnGpu = OnDevice;

// Gradients by (seed, parameter), the same on both devices; `idle` has one in every third step.
void draw_gradients(Parameters& model, Device device, uint64_t t) {
  model.zero_grad();
  uint64_t seed = 1000 * t;
  for (Tensor* p : {&model.weight, &model.bias, &model.gamma, &model.idle}) {
    const Tensor g = randn(p->shape(), ++seed).to(DType::f32).to(device);
    if (p != &model.idle || t % 3 == 0) set_grad(*p, g);
  }
}

Tensor on_cpu(const Tensor& x) { return x.to(Device::cpu).to(DType::f64); }

double largest_difference(const Tensor& a, const Tensor& b) {
  const Tensor x = on_cpu(a), y = on_cpu(b);
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i)
    worst = std::max(worst, std::fabs(x.data<double>()[i] - y.data<double>()[i]));
  return worst;
}

constexpr int64_t kOut = 67, kIn = 131;  // 8777 weights: two chunks of the kernel and a tail; the
                                         // other parameters are smaller than one

}  // namespace

TEST_F(AdamWOnGpu, GoesAsTheCpuDoes) {
  Parameters here(kOut, kIn), there(kOut, kIn);
  here.fill(DType::f32), there.fill(DType::f32);
  there.to(Device::cuda);
  here.make_shadows(DType::bf16), there.make_shadows(DType::bf16);
  const AdamWOptions options{.ema_decay = 0.9};
  AdamW a(here.parameters(), options), b(there.parameters(), options);
  for (uint64_t t = 1; t <= 10; ++t) {
    draw_gradients(here, Device::cpu, t), draw_gradients(there, Device::cuda, t);
    a.step(0.01 / double(t)), b.step(0.01 / double(t));
  }
  // As in FollowsTheFormula: |p|, |m|, |v| and |e| stay below 8, each step leaves at most 16
  // roundings in any of them.
  const double tolerance = 10 * 16 * 0x1p-24;
  for (size_t i = 0; i < a.slots().size(); ++i) {
    const AdamW::Slot &x = a.slots()[i], &y = b.slots()[i];
    EXPECT_EQ(x.t, y.t) << x.name;
    EXPECT_EQ(y.t, x.name == "idle" ? 3 : 10);
    EXPECT_LE(largest_difference(*y.parameter, *x.parameter), tolerance) << x.name;
    EXPECT_LE(largest_difference(y.exp_avg, x.exp_avg), tolerance) << x.name;
    EXPECT_LE(largest_difference(y.exp_avg_sq, x.exp_avg_sq), tolerance) << x.name;
    EXPECT_LE(largest_difference(y.ema, x.ema), tolerance) << x.name;
    EXPECT_GT(largest_difference(y.ema, *y.parameter), 1e-4)
        << x.name << ": the average is the parameter itself";
    for (const AdamW::Slot* s : {&x, &y})
      EXPECT_EQ(
          largest_difference(in_dtype(*s->parameter, DType::bf16), s->parameter->to(DType::bf16)),
          0)
          << x.name << ": the bf16 copy is another number";
  }
}

TEST_F(AdamWOnGpu, NothingMovesWhileTheLossIsNotFinite) {
  Parameters model(kOut, kIn);
  model.fill(DType::f32);
  model.to(Device::cuda);
  AdamW optimizer(model.parameters(), {.ema_decay = 0.9});
  auto state = [&] {
    std::vector<Tensor> all;
    for (const AdamW::Slot& s : optimizer.slots())
      for (const Tensor& x : {*s.parameter, s.exp_avg, s.exp_avg_sq, s.ema})
        all.push_back(x.to(Device::cpu).clone());
    return all;
  };
  auto moved = [&](const std::vector<Tensor>& before) {
    const std::vector<Tensor> now = state();
    for (size_t i = 0; i < now.size(); ++i)
      if (largest_difference(now[i], before[i]) > 0) return true;
    return false;
  };
  draw_gradients(model, Device::cuda, 1);
  for (double loss : {double(NAN), -double(NAN), double(INFINITY), -double(INFINITY)}) {
    const std::vector<Tensor> before = state();
    optimizer.step(0.1, Tensor::full({}, loss, DType::f32, Device::cuda));
    EXPECT_FALSE(moved(before)) << loss;
  }
  for (double loss : {0.0, -3e38, 3e38}) {
    const std::vector<Tensor> before = state();
    optimizer.step(0.1, Tensor::full({}, loss, DType::f32, Device::cuda));
    EXPECT_TRUE(moved(before)) << loss;
  }
  expect_error([&] { optimizer.step(0.1, Tensor::zeros({})); }, {"loss", "on cpu"});
  expect_error([&] { optimizer.step(0.1, Tensor::zeros({2}, DType::f32, Device::cuda)); },
               {"loss", "(2)"});
}

TEST_F(AdamWOnGpu, SameBitsForEveryOrderOfThreads) {
  std::vector<std::vector<float>> results;
  for_thread_orders([&] {
    Parameters model(kOut, kIn);
    model.fill(DType::f32);
    model.to(Device::cuda);
    AdamW optimizer(model.parameters(), {});
    draw_gradients(model, Device::cuda, 1);
    optimizer.step(0.1);
    results.push_back(model.weight.to_vector<float>());
  });
  for (const auto& r : results) EXPECT_EQ(r, results[0]);
}

TEST_F(AdamWOnGpu, RefusesWhatItCannotMove) {
  Parameters wide(2, 2), mixed(2, 2);
  wide.to(DType::f64), wide.to(Device::cuda);
  expect_error([&] { AdamW(wide.parameters(), {}); }, {"AdamW", "fc.weight", "f64", "f32"});
  mixed.bias = leaf(mixed.bias.to(Device::cuda));
  expect_error([&] { AdamW(mixed.parameters(), {}); }, {"AdamW", "fc.bias", "cuda"});
}

}  // namespace rmt::test
