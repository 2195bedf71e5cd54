#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/train/parameters.h"

namespace rmt::test {
using namespace train;
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

// 8777 weights: two chunks of the kernel and a tail; the other parameters are smaller than one.
constexpr int64_t kOut = 67;
constexpr int64_t kIn = 131;

}  // namespace

TEST_F(AdamWOnGpu, GoesAsTheCpuDoes) {
  Parameters here(kOut, kIn), there(kOut, kIn);
  here.fill(DType::f32);
  there.fill(DType::f32);
  there.to(Device::cuda);
  here.make_shadows(DType::bf16);
  there.make_shadows(DType::bf16);
  const OptimizerOptions options{.average_decay = 0.9};
  Optimizer a(here.parameters(), options), b(there.parameters(), options);
  for (uint64_t t = 1; t <= 10; ++t) {
    draw_gradients(here, Device::cpu, t);
    draw_gradients(there, Device::cuda, t);
    a.step(0.01 / double(t));
    b.step(0.01 / double(t));
  }
  // As in FollowsTheFormula: |p|, |m|, |v| and |e| stay below 8, each step leaves at most 16
  // roundings in any of them.
  const double tolerance = 10 * 16 * 0x1p-24;
  for (size_t i = 0; i < a.slots().size(); ++i) {
    const OptimizerSlot &x = a.slots()[i], &y = b.slots()[i];
    EXPECT_EQ(x.t, y.t) << x.name;
    EXPECT_EQ(y.t, x.name == "idle" ? 3 : 10);
    EXPECT_LE(largest_difference(*y.parameter, *x.parameter), tolerance) << x.name;
    EXPECT_LE(largest_difference(y.exp_avg, x.exp_avg), tolerance) << x.name;
    EXPECT_LE(largest_difference(y.exp_avg_sq, x.exp_avg_sq), tolerance) << x.name;
    EXPECT_LE(largest_difference(b.average().of(i), a.average().of(i)), tolerance) << x.name;
    EXPECT_GT(largest_difference(b.average().of(i), *y.parameter), 1e-4)
        << x.name << ": the average is the parameter itself";
    for (const OptimizerSlot* s : {&x, &y})
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
  Optimizer optimizer(model.parameters(), {.average_decay = 0.9});
  auto state = [&] {
    std::vector<Tensor> all;
    for (const OptimizerSlot& s : optimizer.slots())
      for (const Tensor& x :
           {*s.parameter, s.exp_avg, s.exp_avg_sq, optimizer.average().of(all.size() / 4)})
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
    Optimizer optimizer(model.parameters(), {});
    draw_gradients(model, Device::cuda, 1);
    optimizer.step(0.1);
    results.push_back(model.weight.to_vector<float>());
  });
  for (const auto& r : results) EXPECT_EQ(r, results[0]);
}

TEST_F(AdamWOnGpu, RefusesWhatItCannotMove) {
  Parameters wide(2, 2), mixed(2, 2);
  wide.to(DType::f64);
  wide.to(Device::cuda);
  expect_error([&] { Optimizer(wide.parameters(), {}); }, {"optimizer", "fc.weight", "f64", "f32"});
  mixed.bias = leaf(mixed.bias.to(Device::cuda));
  expect_error([&] { Optimizer(mixed.parameters(), {}); }, {"optimizer", "fc.bias", "cuda"});
}

}  // namespace rmt::test
