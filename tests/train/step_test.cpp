// A training step on the GPU: it moves the model as the CPU does, and repeating a recording of it
// changes no bit.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ops/add.h"
#include "tests/check_op.h"
#include "tests/device.h"
#include "tests/train/random_batch.h"
#include "tests/train/tiny_model.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

using TrainStepOnGpu = OnDevice;

void append(std::vector<double>& losses, const std::vector<Verdict>& verdicts) {
  for (const Verdict& v : verdicts) losses.push_back(double(v.loss));
}

// A model in training. eps is far above the usual, so that a gradient that is nothing but rounding
// (of a bias before a batch norm) moves nothing: with the usual one Adam would make a whole step of
// it, in a direction of chance.
struct Training {
  nn::Rmt model;
  Optimizer optimizer;
  TrainStep step;
  int64_t steps = 0;
  std::vector<double> losses;

  static nn::Rmt& prepared(nn::Rmt& model, const Compute& compute) {
    model.init(5);
    for (const nn::Entry& e : model.parameters())
      if (e.name.find("gamma_") != std::string::npos)
        e.tensor->fill(0.5);  // at their first 1e-6 whole branches would be lost in rounding
    compute.prepare(model);
    return model;
  }
  Training(const nn::RmtConfig& config, const Compute& compute, bool graph = true,
           const Forward& forward = nullptr)
      : model(config),
        optimizer(prepared(model, compute).parameters(), {.adamw = {.eps = 1e-3}}),
        step(model, forward ? forward : [this](const Tensor& x) { return model.forward(x); },
             optimizer, compute, {.graph = graph, .seed = 11}) {}

  void run(const Batch& batch) {
    append(losses, step(batch, steps, 1e-3));
    ++steps;
  }
  void run(int64_t count, int64_t B, int64_t S, int64_t classes) {
    for (int64_t i = 0; i < count; ++i) run(random_batch(B, S, classes, uint64_t(steps)));
  }
  // Everything that the run has made, on the CPU.
  std::vector<std::pair<std::string, Tensor>> state() {
    append(losses, step.finish());
    std::vector<std::pair<std::string, Tensor>> all;
    for (const nn::Entry& e : model.state())
      all.emplace_back(e.name, e.tensor->to(Device::cpu).clone());
    all.emplace_back("losses", Tensor::from<double>(losses, {int64_t(losses.size())}));
    return all;
  }
};

using State = std::vector<std::pair<std::string, Tensor>>;

void expect_same_bits(const State& a, const State& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].second.nbytes(), b[i].second.nbytes()) << a[i].first;
    EXPECT_EQ(std::memcmp(a[i].second.raw(), b[i].second.raw(), a[i].second.nbytes()), 0)
        << a[i].first;
  }
}

const Compute kGpu{Device::cuda, DType::f32}, kGpuBf16{Device::cuda, DType::bf16};

// ||a - b||^2 of f32 tensors
double squared_distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    sum += std::pow(double(a.data<float>()[i]) - double(b.data<float>()[i]), 2);
  return sum;
}

}  // namespace

// Three steps of rmt_n, the third of them from the recording. Both compute in f32, in other orders
// of summation.
TEST_F(TrainStepOnGpu, MovesTheModelAsTheCpuDoes) {
  nn::RmtConfig config = nn::rmt_config("rmt_n");
  config.num_classes = 10;
  config.drop_path = 0.3;
  Training cpu(config, {}), gpu(config, kGpu);
  const State start = cpu.state();
  cpu.run(3, 2, 64, 10), gpu.run(3, 2, 64, 10);
  const State here = cpu.state(), there = gpu.state();
  ASSERT_EQ(cpu.losses.size(), 3u);
  ASSERT_EQ(gpu.losses.size(), 3u);
  // Parity (nn/parity_test.cpp) finds f32 within about 1e-6 of the truth in the logits and 1e-5 in
  // the gradients; the loss is about 2.3 and three steps carry the difference of the weights along.
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(cpu.losses[i], gpu.losses[i], 1e-5) << "step " << i;
  EXPECT_NE(cpu.losses[0], cpu.losses[1]);
  double error = 0, moved = 0;
  for (size_t i = 0; i + 1 < start.size(); ++i) {
    const auto& [name, x] = here[i];
    const Tensor& y = there[i].second;
    if (!is_float(x.dtype())) {
      EXPECT_EQ(x.item<int64_t>(), 3) << name;
      EXPECT_EQ(y.item<int64_t>(), 3) << name << ": not counted in the recording";
      continue;
    }
    if (name.find("running_") != std::string::npos) {
      EXPECT_LE(relative_error(y, x), 1e-5) << name;
      continue;
    }
    error += squared_distance(y, x), moved += squared_distance(x, start[i].second);
  }
  // A step is lr g / (|g| + eps) at first, so its relative error is at most that of g: 1e-5, and a
  // few times that after three.
  EXPECT_GT(moved, 0);
  EXPECT_LE(std::sqrt(error / moved), 1e-4);
  std::printf("    rmt_n, 3 steps: loss within %.1e, movement of the weights within %.1e\n",
              std::fabs(cpu.losses[2] - gpu.losses[2]), std::sqrt(error / moved));
}

// Batches of 3, then of 2: each has its warm-up and its own recording.
TEST_F(TrainStepOnGpu, RecordedAndNotAndAgainAreTheSameBits) {
  std::vector<State> runs;
  for (bool graph : {false, true, true}) {
    Training t(tiny(), kGpu, graph);
    t.run(4, 3, 32, 2), t.run(4, 2, 32, 2);
    runs.push_back(t.state());
    EXPECT_EQ(t.losses.size(), 8u);
    EXPECT_EQ(t.model.patch_embed.layers[0].norm.num_batches_tracked.item<int64_t>(), 8);
  }
  expect_same_bits(runs[0], runs[1]);
  expect_same_bits(runs[1], runs[2]);
}

// What is computed between two repetitions, at another size and with all unused memory given back,
// leaves the recording alone.
TEST_F(TrainStepOnGpu, EvaluationBetweenStepsChangesNothing) {
  std::vector<State> runs;
  for (bool between : {false, true}) {
    Training t(tiny(), kGpu);
    t.run(3, 2, 32, 2);
    if (between) {
      NoGrad off;
      t.model.mode().training = false;
      for (int64_t S : {40, 32}) t.model.forward(kGpu.images(random_batch(3, S, 2, 1), {}));
      cuda::free_unused();
    }
    t.run(2, 2, 32, 2);
    runs.push_back(t.state());
  }
  expect_same_bits(runs[0], runs[1]);
}

TEST_F(TrainStepOnGpu, LossesComeOneStepLateAndAllAtTheEnd) {
  Training t(tiny(), kGpu, false);
  const Batch batch = random_batch(2, 32, 2, 1);
  EXPECT_TRUE(t.step(batch, 0, 1e-3).empty());
  EXPECT_EQ(t.step(batch, 1, 1e-3).size(), 1u);
  EXPECT_EQ(t.step.finish().size(), 1u);
  EXPECT_TRUE(t.step.finish().empty());
}

// bf16 rounds to 8 bits: relative errors of 2^-9 an operation, which over a network's depth come to
// some 1e-2 in the logits and less in their mean loss.
TEST_F(TrainStepOnGpu, Bf16GoesNearF32) {
  Training f32(tiny(), kGpu), bf16(tiny(), kGpuBf16);
  f32.run(3, 3, 32, 2), bf16.run(3, 3, 32, 2);
  f32.state(), bf16.state();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(f32.losses[i], bf16.losses[i], 0.02) << "step " << i;
    EXPECT_NE(f32.losses[i], bf16.losses[i]) << "step " << i << ": computed in f32?";
  }
  for (const nn::Entry& e : bf16.model.parameters()) {
    ASSERT_EQ(e.tensor->dtype(), DType::f32) << e.name;
    const Tensor shadow = in_dtype(*e.tensor, DType::bf16).to(Device::cpu),
                 rounded = e.tensor->to(Device::cpu).to(DType::bf16);
    ASSERT_EQ(std::memcmp(shadow.raw(), rounded.raw(), rounded.nbytes()), 0)
        << e.name << ": the copy is of other weights";
  }
}

TEST_F(TrainStepOnGpu, ALossThatIsNotFiniteIsReturnedAndMovesNothing) {
  for (bool graph : {false, true}) {
    const Tensor poison = Tensor::zeros({2, 2}, DType::f32, Device::cuda);
    nn::Rmt* model = nullptr;
    Training t(tiny(), kGpu, graph,
               [&](const Tensor& x) { return ops::add(model->forward(x), poison); });
    model = &t.model;
    t.run(4, 2, 32, 2);  // the recording is in use by now
    auto parameters = [&] {
      std::vector<float> all;
      for (const nn::Entry& e : t.model.parameters())
        for (float v : e.tensor->to_vector<float>()) all.push_back(v);
      return all;
    };
    const std::vector<float> before = parameters();
    poison.fill(NAN);
    t.run(1, 2, 32, 2);
    EXPECT_EQ(parameters(), before);
    poison.fill(0);
    t.run(1, 2, 32, 2);
    EXPECT_NE(parameters(), before);
    t.state();
    ASSERT_EQ(t.losses.size(), 6u);
    for (size_t i = 0; i < 6; ++i)
      EXPECT_EQ(std::isfinite(t.losses[i]), i != 4) << "step " << i << ": " << t.losses[i];
  }
}

}  // namespace rmt::test
