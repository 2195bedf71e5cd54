#include "train/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "tests/train/parameters.h"

namespace rmt::test {
using namespace train;
namespace {

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
  Optimizer optimizer(model.parameters(), {});
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
      const std::vector<double> g = grad(*p).to(DType::f64).to_vector<double>();
      const std::vector<double> x = p->to(DType::f64).to_vector<double>();
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
  Optimizer optimizer(model.parameters(), {.adamw = {.weight_decay = 0.25}});
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
  EXPECT_TRUE(decays("layers.2.blocks.0.gamma_1", {1, 1, 1, 320})) << "it has rank 4, so it decays";
  EXPECT_FALSE(decays("norm.weight", {1024}));
  EXPECT_FALSE(decays("scale", {}));
  EXPECT_FALSE(decays("odd.bias", {2, 2}));

  Parameters model(4, 3);
  model.fill(DType::f64);
  Optimizer optimizer(model.parameters(), {.adamw = {.weight_decay = 0.5}});
  for (Tensor* p : {&model.weight, &model.bias, &model.gamma}) set_grad(*p, Tensor::zeros_like(*p));
  const std::vector<double> weight = model.weight.to_vector<double>();
  const std::vector<double> bias = model.bias.to_vector<double>();
  const std::vector<double> gamma = model.gamma.to_vector<double>();
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
  Optimizer optimizer(model.parameters(), {});
  for (uint64_t t = 0; t < 3; ++t) {
    model.draw_gradients(t);
    optimizer.step(0.1);
  }
  EXPECT_EQ(model.idle.to_vector<float>(), before);
  for (const OptimizerSlot& s : optimizer.slots())
    EXPECT_EQ(s.t, s.name == "idle" ? 0 : 3) << s.name;
}

TEST(AdamW, SameBitsForAnyNumberOfThreads) {
  int before = threads();
  std::vector<std::vector<float>> results;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    Parameters model(37, 5001);
    model.fill(DType::f32);
    Optimizer optimizer(model.parameters(), {});
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

TEST(AdamW, RulesScaleTheRateAndFreeze) {
  for (Device device : devices()) {
    WithStatistics model, plain;
    model.on(device);
    plain.on(device);
    std::vector<ParameterRule> rules(4);
    rules[0] = {.lr_scale = 0.25, .weight_decay = 0.5};
    rules[1].frozen = true;
    Optimizer optimizer(model.parameters(), {}, rules),
        reference(plain.parameters(), {.adamw = {.weight_decay = 0.5}});
    EXPECT_EQ(optimizer.slots().size(), 3u);
    const std::vector<float> bias = model.bias.to_vector<float>();
    model.set_gradients(1, 3);
    plain.set_gradients(1, 3);
    optimizer.step(0.2);
    reference.step(0.05);
    EXPECT_EQ(model.weight.to_vector<float>(), plain.weight.to_vector<float>()) << device;
    EXPECT_EQ(model.bias.to_vector<float>(), bias);
  }
  WithStatistics model;
  expect_error([&] { Optimizer(model.parameters(), {}, std::vector<ParameterRule>(3)); },
               {"3 rules", "4 parameters"});
}

}  // namespace rmt::test
