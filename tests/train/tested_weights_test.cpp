// Weights and their average in one pass over the images: each finds what it would have found in a
// pass of its own, and the model has its own weights afterwards, however it ends.
#include "train/tested_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/check_op.h"
#include "tests/device.h"
#include "tests/threads_as_processes.h"
#include "tests/train/own_model.h"
#include "tests/train/parameters.h"
#include "train/evaluation.h"

namespace rmt::test {
namespace {

using namespace data;
using namespace train;

// A model whose averages are other numbers than its weights: statistics too.
struct Averaged {
  OwnNet model{7};
  Compute compute;
  Optimizer optimizer;
  Noise images{70, 3, {"a", "b", "c", "d", "e", "f", "g"}};
  Loader loader;

  nn::Module& prepared() {
    model.init(2);
    compute.prepare(model);
    return model;
  }
  static LoaderOptions options(Processes& p, int64_t batch_size) {
    LoaderOptions o;
    o.batch_size = batch_size, o.train = false, o.rank = p.rank(), o.ranks = p.size();
    o.transform.image_size = 32, o.transform.crop_pct = 1;
    return o;
  }
  explicit Averaged(Processes& p = alone(), int64_t batch_size = 4, const Compute& c = {})
      : compute(c),
        optimizer(prepared().parameters(), {.average_decay = 0.5}, {}, model.state()),
        loader(images, options(p, batch_size)) {
    uint64_t seed = 1;
    for (const WeightAverage::Entry& e : optimizer.average().entries())
      e.average.copy_from(randn(e.average.shape(), seed++, 0.5, 0.1));  // variances are positive
  }
  std::vector<Metrics> both(Processes& p, const std::function<bool()>& go_on = nullptr) {
    TestedWeights weights(optimizer);
    return evaluate_each(
        weights, model, [&](const Tensor& x) { return model.forward(x); }, loader, compute,
        loader_transform(), "", [&](const Batch&, const Tensor&) { return !go_on || go_on(); }, p);
  }
  Metrics one(Processes& p) {
    return evaluate(
        model, [&](const Tensor& x) { return model.forward(x); }, loader, compute,
        loader_transform(), "", nullptr, p);
  }
  static TransformOptions loader_transform() { return options(alone(), 4).transform; }
  std::vector<float> state() const {
    std::vector<float> all;
    for (const nn::Entry& e : const_cast<OwnNet&>(model).state())
      if (e.tensor->dtype() == DType::f32)
        for (float v : e.tensor->to_vector<float>()) all.push_back(v);
    return all;
  }
};

void expect_same(const Metrics& a, const Metrics& b) {
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.top1, b.top1);
  EXPECT_EQ(a.top5, b.top5);
  EXPECT_EQ(a.loss_sum, b.loss_sum);
  EXPECT_EQ(a.complete, b.complete);
}

}  // namespace

// Batches of 4: four of them are held. Batches of 30: one.
TEST(TestedWeights, OnePassFindsWhatTwoWouldFind) {
  for (Device device : devices())
    for (int64_t batch_size : {4, 30}) {
      Averaged a(alone(), batch_size, {device, DType::f32});
      const std::vector<float> before = a.state();
      const Metrics own = a.one(alone());
      a.optimizer.swap_average();
      const Metrics average = a.one(alone());
      a.optimizer.swap_average();
      ASSERT_NE(own.loss_sum, average.loss_sum);
      const std::vector<Metrics> both = a.both(alone());
      ASSERT_EQ(both.size(), 2u);
      expect_same(both[0], own);
      expect_same(both[1], average);
      EXPECT_EQ(both[0].samples, 70);
      EXPECT_EQ(a.state(), before);
    }
}

TEST(TestedWeights, EachProcessOfAnyNumberFindsTheSame) {
  const std::vector<Metrics> want = Averaged().both(alone());
  for (int64_t R : {2, 3, 20})
    run_as_processes(R, [&](Processes& p) {
      const std::vector<Metrics> both = Averaged(p).both(p);
      expect_same(both[0], want[0]);
      expect_same(both[1], want[1]);
    });
}

// The batches come in their order for each of the weights, and are made once. The average follows
// the model's own, or comes before it, as the weights happen to stand.
TEST(TestedWeights, PlacesChangeOnceForSixteenImages) {
  Averaged a;
  TestedWeights weights(a.optimizer);
  std::vector<std::pair<size_t, int64_t>> seen;  // weights, first image
  EXPECT_TRUE(weights.for_each(a.loader, [&](size_t k, const Batch& b) {
    seen.emplace_back(k, b.indices[0]);
    return true;
  }));
  ASSERT_EQ(seen.size(), 2u * 18);
  for (size_t k : {0, 1}) {
    int64_t next = 0;
    for (const auto& [of, first] : seen)
      if (of == k) EXPECT_EQ(first, 4 * next++);
  }
  int64_t changes = 0;
  for (size_t i = 1; i < seen.size(); ++i) changes += seen[i].first != seen[i - 1].first;
  EXPECT_EQ(changes, 5) << "70 images: once in each of 5 windows";
}

// Wherever it ends, by `seen`, by a bad image or by the model.
TEST(TestedWeights, TheModelHasItsOwnWeightsHoweverItEnds) {
  Averaged a;
  const std::vector<float> before = a.state();
  for (int64_t stop_at = 1; stop_at <= 36; stop_at += 5) {
    int64_t left = stop_at;
    const std::vector<Metrics> both = a.both(alone(), [&] { return --left > 0; });
    EXPECT_EQ(left, 0);
    EXPECT_FALSE(both[0].complete);
    EXPECT_FALSE(both[1].complete);
    ASSERT_EQ(a.state(), before) << "ended at " << stop_at;
    left = stop_at;
    EXPECT_THROW(a.both(alone(),
                        [&] {
                          CHECK(--left > 0, "broken");
                          return true;
                        }),
                 Error);
    ASSERT_EQ(a.state(), before) << "broken at " << stop_at;
  }
}

TEST(TestedWeights, WithoutAnAverageThereIsOneResult) {
  Averaged a;
  Optimizer none(a.model.parameters(), {});
  TestedWeights weights(none);
  EXPECT_EQ(weights.count(), 1u);
  int64_t batches = 0;
  weights.for_each(a.loader, [&](size_t k, const Batch&) {
    EXPECT_EQ(k, 0u);
    ++batches;
    return true;
  });
  EXPECT_EQ(batches, 18);
}

// On a GPU: two launches, the same in every order of the threads, and the copies in bf16 follow.
TEST(TestedWeights, OnAGpuAllParametersChangePlacesAtOnce) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for_thread_orders([] {
    Averaged a(alone(), 4, {Device::cuda, DType::bf16});
    std::vector<std::vector<float>> own, average;
    for (const WeightAverage::Entry& e : a.optimizer.average().entries()) {
      own.push_back(e.followed->to_vector<float>());
      average.push_back(e.average.to_vector<float>());
    }
#ifndef RMT_CUDA
    const int64_t before = emulator::counters().launches;
#endif
    a.optimizer.swap_average();
#ifndef RMT_CUDA
    EXPECT_EQ(emulator::counters().launches - before, 2);
#endif
    for (int swapped : {1, 0}) {
      size_t i = 0;
      for (const WeightAverage::Entry& e : a.optimizer.average().entries()) {
        EXPECT_EQ(e.followed->to_vector<float>(), swapped ? average[i] : own[i]) << e.name;
        EXPECT_EQ(e.average.to_vector<float>(), swapped ? own[i] : average[i]) << e.name;
        if (const Tensor copy = shadow(*e.followed); copy.defined()) {
          const Tensor rounded = e.followed->to(Device::cpu).to(DType::bf16),
                       there = copy.to(Device::cpu);
          EXPECT_EQ(std::memcmp(rounded.raw(), there.raw(), rounded.nbytes()), 0) << e.name;
        }
        ++i;
      }
      a.optimizer.swap_average();
    }
  });
}

}  // namespace rmt::test
