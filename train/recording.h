// A training step on a GPU, recorded once and then repeated (core/cuda/graph.h). A step is hundreds
// of small kernels, and starting them one by one would take the host longer than the GPU needs to
// run them; a recording is started as a whole.
//
//   batches --upload--> [ input, step number, rate ] --repeat--> [ gradients, loss, parameters,
//                         always in the same places                verdict ]
//                         of memory                                   |
//                                                          read while the next step runs
//
// What changes from step to step is written to where the recording reads it: the batches, the
// step's number (it seeds drop path), the rate. They come while the step before computes, to a
// place beside (core/cuda/upload.h). Batches of another size need another recording.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/cuda/graph.h"
#include "core/cuda/upload.h"
#include "data/loader.h"
#include "nn/module.h"
#include "train/optimizer.h"

namespace rmt::train {

// Leaves the sum of the batches' gradients beside the parameters, and returns their losses' sum.
using Differentiate = std::function<Tensor(const std::vector<data::Batch>&)>;

class RecordedStep {
 public:
  // `send_tables` is called after a recording of `differentiate`, to send what that reads and could
  // not be sent meanwhile. `record` false: every step runs as it is.
  RecordedStep(nn::Module& model, Optimizer& optimizer, Differentiate differentiate,
               std::function<void()> send_tables, bool record);

  // Differentiates, and lets the optimizer step. Returns the verdict of the step before, none after
  // the first: the host prepares the next batch while the GPU computes.
  std::vector<Verdict> operator()(const std::vector<data::Batch>& batches, int64_t step, double lr);
  std::vector<Verdict>
  finish();       // the verdicts that are still on their way, after waiting for them
  void forget();  // gives back the recording's memory; the next step makes another

 private:
  void upload(const std::vector<data::Batch>& batches, int64_t step, double lr);
  void make_input(const std::vector<data::Batch>& batches);
  void record();
  Verdict next_verdict();

  nn::Module& model_;
  Optimizer& optimizer_;
  Differentiate differentiate_;
  std::function<void()> send_tables_;
  bool record_;

  cuda::Upload upload_;
  std::vector<data::Batch> input_;  // on the GPU, where the recording reads it
  Tensor step_number_;              // () i64, likewise
  Tensor loss_;                     // () f32, where it writes
  int64_t steps_of_this_size_ = 0;
  std::unique_ptr<cuda::Graph> graph_;
  cuda::Readback readback_[2];  // of the step that runs, and of the one before
  int64_t verdicts_asked_ = 0;
  int64_t verdicts_read_ = 0;
};

}  // namespace rmt::train
