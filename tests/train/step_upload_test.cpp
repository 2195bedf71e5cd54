// A step's batches on their way to the GPU (core/cuda/upload.h): every step computes with its own,
// whenever the copies come, and the objective is shown all of a batch.
#include <gtest/gtest.h>

#include <cstring>

#include "core/cuda/limits.h"
#include "core/cuda/pinned.h"
#include "tests/check_op.h"
#include "tests/core/cuda/run_ahead.h"
#include "tests/device.h"
#include "tests/train/random_batch.h"
#include "tests/train/tiny_model.h"
#include "train/step.h"

namespace rmt::test {
namespace {

using namespace train;
using StepUpload = OnDevice;
const Compute kGpu{Device::cuda, DType::f32};

data::Batch pinned(const data::Batch& b) {
  const cuda::PinnedMemory memory;
  data::Batch copy = b;
  for (Tensor data::Batch::*field : data::kBatchTensors)
    if ((copy.*field).defined()) copy.*field = (copy.*field).clone();
  return copy;
}

struct Training {
  nn::Rmt model{tiny()};
  Optimizer optimizer;
  TrainStep step;
  std::vector<float> losses;

  nn::Rmt& prepared() {
    model.init(5);
    kGpu.prepare(model);
    return model;
  }
  Training(bool graph, int64_t parts)
      : optimizer(prepared().parameters(), {.guard = {.parts = parts}}),
        step(model, [this](const Tensor& x) { return model.forward(x); }, optimizer, kGpu,
             {.graph = graph, .seed = 11}) {}
  void note(const std::vector<Verdict>& verdicts) {
    for (const Verdict& v : verdicts) losses.push_back(v.loss);
  }
};

// The losses of 6 steps of two parts, then every number of the model. `late`: the device is lazy
// and the copies run ahead of it.
std::vector<float> train(bool graph, bool late, bool in_pinned, int64_t parts = 2) {
  Training t(graph, parts);
  {
    const std::unique_ptr<LazyDevice> lazy(late ? new LazyDevice : nullptr);
    cuda::Limits limits = cuda::limits();
    limits.pieces = limits.pieces || late;  // memory that is given back is used again
    const cuda::WithLimits with(limits);
    for (int64_t s = 0; s < 6; ++s) {
      std::vector<data::Batch> batches;
      for (int64_t i = 0; i < parts; ++i)
        batches.push_back(random_batch(2, 32, 2, uint64_t(10 * s + i)));
      if (in_pinned)
        for (data::Batch& b : batches) b = pinned(b);
      t.note(t.step(batches, s, 1e-3 * double(s + 1)));
      if (late) run_ahead();
    }
    t.note(t.step.finish());
  }
  std::vector<float> all = t.losses;
  for (const nn::Entry& e : t.model.state())
    if (e.tensor->dtype() == DType::f32)
      for (float v : e.tensor->to_vector<float>()) all.push_back(v);
  return all;
}

}  // namespace

TEST_F(StepUpload, StepsComputeWithTheirOwnBatchesWheneverCopiesCome) {
  const std::vector<float> want = train(false, false, false);
  ASSERT_NE(want[0], want[1]);
  for (bool graph : {false, true})
    for (bool late : {false, true})
      for (bool in_pinned : {false, true})
        EXPECT_TRUE(train(graph, late, in_pinned) == want)
            << "recorded " << graph << ", late " << late << ", pinned " << in_pinned;
}

// The host waits asleep: a processor that spins makes no batches.
TEST_F(StepUpload, TheHostNeverSpins) {
#ifdef RMT_CUDA
  GTEST_SKIP() << "only an emulated device counts it";
#else
  const int64_t before = emulator::counters().spins;
  train(true, true, true);
  EXPECT_EQ(emulator::counters().spins, before);
  cudaEvent_t event = nullptr;
  cudaEventCreate(&event);
  cudaEventRecord(event, cuda::stream());
  cudaEventSynchronize(event);
  cudaEventDestroy(event);
  EXPECT_EQ(emulator::counters().spins, before + 1) << "the count counts nothing";
#endif
}

// Tensors on the GPU; what else a task has put into a batch, as it was.
TEST_F(StepUpload, TheObjectiveIsShownAllOfABatch) {
  nn::Rmt model(tiny());
  model.init(5);
  kGpu.prepare(model);
  Optimizer optimizer(model.parameters(), {});
  std::vector<data::Batch> shown;
  StepOptions options;
  options.graph = false;
  options.objective = [&](const Tensor& images, const data::Batch& batch) {
    shown.push_back(batch);
    for (Tensor data::Batch::*field : data::kBatchTensors)
      if ((shown.back().*field).defined()) {
        EXPECT_EQ((batch.*field).device(), Device::cuda);
        shown.back().*field = (batch.*field).to(Device::cpu);
      }
    const Tensor targets = ops::smooth_one_hot(batch.labels, 2, 0);
    return Losses(ops::cross_entropy(model.forward(images), targets));
  };
  TrainStep step(model, nullptr, optimizer, kGpu, options);
  std::vector<data::Batch> batches;
  for (int64_t s = 0; s < 4; ++s) {
    data::Batch b = random_batch(2, s < 2 ? 32 : 64, 2, uint64_t(s));
    const int64_t S = b.images.dim(1);
    b.indices = {s, 10 + s};
    b.inside = Tensor::full({2, S, S, 1}, 1);
    b.pixel_labels = Tensor::full({2, S, S}, double(s), DType::u8);
    b.erase = Tensor::zeros({2, 5}, DType::i64);
    b.label_boxes = Tensor::full({2, 4}, double(s), DType::f64);
    b.label_classes = Tensor::full({2, 1, 1, 3}, double(s), DType::i32);
    b.label_values = Tensor::full({2, 1, 1, 3}, double(s));
    b.places = {{s, 2, 3, 4}, {5, 6, 7, 8}};
    b.objects = {{.boxes = {{1, 2, 3, double(s)}}, .labels = {1}}, {}};
    batches.push_back(b);
    step(b, s, 1e-3);
  }
  step.finish();
  ASSERT_EQ(shown.size(), batches.size());
  for (size_t s = 0; s < shown.size(); ++s) {
    const data::Batch &a = batches[s], &b = shown[s];
    for (Tensor data::Batch::*field : data::kBatchTensors) {
      const Tensor &x = a.*field, &y = b.*field;
      ASSERT_EQ(x.defined(), y.defined());
      if (!x.defined()) continue;
      ASSERT_EQ(x.nbytes(), y.nbytes());
      EXPECT_EQ(std::memcmp(x.raw(), y.raw(), x.nbytes()), 0) << "step " << s;
    }
    EXPECT_EQ(a.indices, b.indices);
    ASSERT_EQ(b.places.size(), 2u);
    EXPECT_EQ(b.places[0].width, int64_t(s));
    ASSERT_EQ(b.objects.size(), 2u);
    EXPECT_EQ(b.objects[0].boxes[0][3], double(s));
  }
}

}  // namespace rmt::test
