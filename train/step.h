// One step of training: forward, loss, backward, optimizer. Several processes take it together.
#pragma once
#include <memory>
#include <vector>

#include "core/cuda/device.h"
#include "train/compute.h"
#include "train/evaluation.h"
#include "train/gradient_sums.h"
#include "train/objective.h"
#include "train/recording.h"

namespace rmt::train {

struct StepOptions {
  double smoothing = 0.1;
  bool graph = true;  // on a GPU, record the step and repeat it
  Loss loss = loss_named("cross_entropy");
  Objective objective;  // unset: classification() with the loss and smoothing above
  uint64_t seed = 0;
  data::TransformOptions transform;
};

class TrainStep {
 public:
  // The optimizer's `parts` is the number of batches that a step takes, of all processes together.
  TrainStep(nn::Module& model, Forward forward, Optimizer& optimizer, const Compute& compute,
            const StepOptions& options);

  // Step number `step` of the run, on batches of one size whose gradients are averaged, with those
  // of the other processes, which must call with as many batches of that size. Returns the
  // verdicts that became known: on the CPU this step's, on a GPU that of the step before, so that
  // the host prepares the next batch while the GPU computes. OutOfMemory says which batch would
  // fit.
  std::vector<Verdict> operator()(const std::vector<data::Batch>& parts, int64_t step, double lr);
  std::vector<Verdict> operator()(const data::Batch& batch, int64_t step, double lr) {
    return (*this)(std::vector<data::Batch>{batch}, step, lr);
  }
  std::vector<Verdict> finish();  // the verdicts that are still on their way
  // The parts of the last step's loss (Losses), of this process's batches together. None where the
  // step is recorded.
  const std::vector<std::pair<std::string, double>>& parts() const { return parts_; }

 private:
  std::vector<Verdict> repeat_on_gpu(const std::vector<data::Batch>& parts, int64_t step,
                                     double lr);
  Tensor differentiate(const std::vector<data::Batch>& parts);
  Losses losses_of(const data::Batch& batch);
  void note_parts(const Losses& losses, double share);
  [[noreturn]] void advise_on_memory(const OutOfMemory& e, const data::Batch& batch);

  nn::Module& model_;
  Optimizer& optimizer_;
  Compute compute_;
  StepOptions options_;
  Processes& processes_;
  GradientSums sums_;
  std::unique_ptr<RecordedStep> on_gpu_;
  std::vector<std::pair<std::string, double>> parts_;
};

}  // namespace rmt::train
