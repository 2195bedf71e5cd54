// One training step: forward, loss, backward, optimizer. On a GPU the whole of it is recorded once
// and then repeated (core/cuda/graph.h) while batches keep their size: what changes from step to
// step, images, labels, the step's number and rate, is written to where the recording reads it.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "train/compute.h"
#include "train/optimizer.h"

namespace rmt::train {

using Forward = std::function<Tensor(const Tensor& images)>;  // (B, H, W, 3) -> logits (B, K)

struct StepOptions {
  double smoothing = 0.1;
  bool graph = true;
  uint64_t seed = 0;
  data::TransformOptions transform;
};

class TrainStep {
 public:
  // The optimizer's `parts` is the number of batches that a step takes.
  TrainStep(nn::Module& model, Forward forward, Optimizer& optimizer, const Compute& compute,
            const StepOptions& options);

  // Step number `step` of the run, on batches of one size whose gradients are averaged. Returns the
  // verdicts that became known: on the CPU this step's, on a GPU that of the step before, so that
  // the host prepares the next batch while the GPU computes. OutOfMemory says which batch would
  // fit.
  std::vector<Verdict> operator()(const std::vector<data::Batch>& parts, int64_t step, double lr);
  std::vector<Verdict> operator()(const data::Batch& batch, int64_t step, double lr) {
    return (*this)(std::vector<data::Batch>{batch}, step, lr);
  }
  std::vector<Verdict> finish();  // the verdicts that are still on their way

 private:
  Tensor forward(const data::Batch& batch);
  void differentiate(const std::vector<data::Batch>& parts);
  Verdict run_on_cpu(const std::vector<data::Batch>& parts, double lr);
  void run_on_gpu(double lr);
  void upload(const std::vector<data::Batch>& parts, int64_t step);
  [[noreturn]] void advise_on_memory(const OutOfMemory& e, const data::Batch& batch);

  nn::Module& model_;
  Forward forward_;
  Optimizer& optimizer_;
  Compute compute_;
  StepOptions options_;

  std::vector<data::Batch> input_;  // on the GPU, where the recording reads it
  Tensor step_;                     // () i64, likewise
  Tensor loss_;                     // () f32, where it writes
  int64_t same_ = 0;                // steps so far with batches of this size
  std::unique_ptr<cuda::Graph> graph_;
  std::unique_ptr<cuda::Readback> readback_[2];
  int64_t started_ = 0, known_ = 0;  // verdicts asked for, and returned
};

}  // namespace rmt::train
