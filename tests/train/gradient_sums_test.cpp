// Processes that share a step: the gradients' sums, and what they make of the model.
#include "train/gradient_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "ops/add.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "tests/threads_as_processes.h"
#include "tests/train/random_batch.h"
#include "tests/train/tiny_model.h"
#include "train/step.h"

namespace rmt::test {
namespace {

using train::GradientSums;

// loss = sum over i of (rank + 1) i p_i, so that the sum over ranks of p_i's gradient is
// i R (R + 1) / 2. Parameter 3 takes no part.
TEST(GradientSums, AreThoseOfAllProcessesInWhateverBuckets) {
  for (int64_t bucket_bytes : {1, 64, 200, 1 << 20})
    run_as_processes(3, [&](Processes& processes) {
      std::vector<Tensor> p;
      std::vector<Tensor*> parameters;
      for (int64_t i = 0; i < 7; ++i) p.push_back(leaf(Tensor::full({3, 5 * i + 1}, 1)));
      for (Tensor& x : p) parameters.push_back(&x);
      GradientSums sums(parameters, processes, bucket_bytes);
      for (int pass = 0; pass < 2; ++pass) {
        Tensor loss;
        for (int64_t i = 0; i < 7; ++i) {
          clear_grad(p[size_t(i)]);
          if (i == 3) continue;
          const Tensor x =
              ops::sum(ops::mul(p[size_t(i)], Tensor::full(p[size_t(i)].shape(),
                                                           double((processes.rank() + 1) * i))));
          loss = loss.defined() ? ops::add(loss, x) : x;
        }
        backward(loss, [&](const Node& leaf) { sums.complete(leaf); });
        sums.finish();
        for (int64_t i = 0; i < 7; ++i) {
          const Tensor g = grad(p[size_t(i)]);
          if (i == 3) {
            EXPECT_FALSE(g.defined());
            continue;
          }
          EXPECT_EQ(g.shape(), p[size_t(i)].shape());
          EXPECT_EQ(reinterpret_cast<uintptr_t>(g.raw()) % 64, 0u);
          EXPECT_EQ(g.to_vector<float>(), std::vector<float>(size_t(g.numel()), float(i * 6)));
        }
      }
    });
}

// One of them has nothing to say of a parameter: its sum is that of the others.
TEST(GradientSums, WhatBackwardDidNotAnnounceIsSummedAtTheEnd) {
  run_as_processes(2, [](Processes& processes) {
    Tensor a = leaf(Tensor::zeros({4})), b = leaf(Tensor::zeros({2}));
    GradientSums sums({&a, &b}, processes);
    set_grad(a, Tensor::full({4}, 1));
    set_grad(b, Tensor::full({2}, double(processes.rank())));
    sums.finish();
    EXPECT_EQ(grad(a).to_vector<float>(), std::vector<float>(4, 2));
    EXPECT_EQ(grad(b).to_vector<float>(), std::vector<float>(2, 1));
  });
}

TEST(GradientSums, AnEarlySumIsAnError) {
  run_as_processes(2, [](Processes& processes) {
    Tensor a = leaf(Tensor::zeros({4}));
    GradientSums sums({&a}, processes);
    set_grad(a, Tensor::full({4}, 1));
    sums.complete(*a.node);
    EXPECT_THROW(sums.complete(*a.node), Error);
    sums.finish();
  });
}

// --- the step ---

using State = std::vector<Tensor>;

// Batch norms take their running statistics, as frozen ones do: no number of an image depends on
// another image.
struct Share {
  nn::Rmt model{tiny()};
  train::Optimizer optimizer;
  train::TrainStep step;
  std::vector<train::Verdict> verdicts;

  nn::Rmt& prepared() {
    model.init(5);
    std::set<std::string> batch_norms;
    for (const nn::Entry& e : model.state())
      if (e.name.ends_with("running_mean"))
        batch_norms.insert(e.name.substr(0, e.name.size() - std::strlen("running_mean")));
    for (const nn::Entry& e : model.parameters()) {
      if (batch_norms.count(e.name.substr(0, e.name.rfind('.') + 1))) freeze(*e.tensor);
      if (e.name.find("gamma_") != std::string::npos) e.tensor->fill(0.5);
    }
    return model;
  }
  static std::vector<train::ParameterRule> rules(nn::Rmt& m) {
    std::vector<train::ParameterRule> all;
    for (const nn::Entry& e : m.parameters()) all.push_back({.frozen = is_frozen(*e.tensor)});
    return all;
  }
  Share(int64_t parts, Processes& processes)
      : optimizer(prepared().parameters(), {.guard = {.clip = 0.1, .parts = parts}}, rules(model)),
        step(model, [this](const Tensor& x) { return model.forward(x); }, optimizer,
             {.processes = &processes}, {.seed = 3}) {}
  void run(const std::vector<data::Batch>& parts, int64_t number) {
    for (const train::Verdict& v : step(parts, number, 1e-2)) verdicts.push_back(v);
  }
  State state() {
    State all;
    for (const nn::Entry& e : model.state()) all.push_back(e.tensor->clone());
    for (const train::Verdict& v : verdicts)
      all.push_back(Tensor::from<float>({v.loss, v.norm}, {2}));
    return all;
  }
};

constexpr int64_t kSteps = 4, kImages = 12;

// Part `part` of `parts` of the step's images.
data::Batch part_of(int64_t step, int64_t part, int64_t parts) {
  const data::Batch all = random_batch(kImages, 32, 2, uint64_t(step));
  const int64_t n = kImages / parts;
  data::Batch b;
  b.images = all.images.slice(part * n, (part + 1) * n);
  b.mirror = all.mirror.slice(part * n, (part + 1) * n);
  b.labels = all.labels.slice(part * n, (part + 1) * n);
  return b;
}

// The state of each process after kSteps, where `processes` take `accumulated` parts each.
std::vector<State> train_shared(int64_t processes, int64_t accumulated) {
  std::vector<State> states(static_cast<size_t>(processes));
  run_as_processes(processes, [&](Processes& p) {
    const int64_t parts = processes * accumulated;
    Share share(parts, p);
    for (int64_t step = 0; step < kSteps; ++step) {
      std::vector<data::Batch> batches;
      for (int64_t a = 0; a < accumulated; ++a)
        batches.push_back(part_of(step, a * processes + p.rank(), parts));
      share.run(batches, step);
    }
    states[size_t(p.rank())] = share.state();
  });
  return states;
}

void expect_same_bits(const State& a, const State& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].nbytes(), b[i].nbytes());
    ASSERT_EQ(std::memcmp(a[i].raw(), b[i].raw(), a[i].nbytes()), 0) << i;
  }
}

// Both add the same gradients in the same order: the parts' one after the other, or the ranks'.
TEST(SharedStep, ProcessesEqualPartsOneAfterTheOtherToTheBit) {
  for (int64_t n : {2, 3, 4}) {
    const State alone = train_shared(1, n)[0];
    for (const State& state : train_shared(n, 1)) expect_same_bits(alone, state);
  }
}

TEST(SharedStep, EveryProcessHasTheSameBits) {
  const std::vector<State> states = train_shared(2, 3), again = train_shared(2, 3);
  for (const State& state : {states[1], again[0], again[1]}) expect_same_bits(states[0], state);
}

// A step that is not finite in one process moves nothing in any.
TEST(SharedStep, WhatIsNotFiniteInOneCountsInNone) {
  run_as_processes(2, [](Processes& p) {
    Share share(2, p);
    if (p.rank() == 1) share.model.state()[0].tensor->fill(std::numeric_limits<double>::infinity());
    const State before = share.state();
    share.run({part_of(0, p.rank(), 2)}, 0);
    EXPECT_FALSE(share.verdicts[0].finite());
    const State after = share.state();
    for (size_t i = 0; i < before.size(); ++i)
      EXPECT_EQ(std::memcmp(before[i].raw(), after[i].raw(), before[i].nbytes()), 0) << i;
  });
}

TEST(SharedStep, TheOptimizerMustAverageOverAllParts) {
  Share share(2, alone());
  EXPECT_THROW(share.run({part_of(0, 0, 2)}, 0), Error);
}

}  // namespace
}  // namespace rmt::test
