#include "train/recording.h"

#include <cstring>

#include "core/cuda/device.h"

namespace rmt::train {
namespace {

// Steps that run as they are before one is recorded: they make the tables and choices that are kept
// (rotary tables, algorithms of matrix products).
constexpr int64_t kWarmUp = 2;

bool same_kind(const Tensor& a, const Tensor& b) {
  return a.defined() == b.defined() &&
         (!a.defined() || (a.shape() == b.shape() && a.dtype() == b.dtype()));
}

bool same_kind(const std::vector<data::Batch>& a, const std::vector<data::Batch>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i)
    for (Tensor data::Batch::*field : data::kBatchTensors)
      same = same && same_kind(a[i].*field, b[i].*field);
  return same;
}

// Into the memory that `to` has, or a new tensor on the GPU.
void put(Tensor& to, const Tensor& from) {
  if (to.defined())
    to.copy_from(from);
  else
    to = from.to(Device::cuda);
}

}  // namespace

RecordedStep::RecordedStep(nn::Module& model, Optimizer& optimizer, Differentiate differentiate,
                           bool record)
    : model_(model),
      optimizer_(optimizer),
      differentiate_(std::move(differentiate)),
      record_(record && !debugging()),
      readback_{cuda::Readback(sizeof(Verdict)), cuda::Readback(sizeof(Verdict))} {}

std::vector<Verdict> RecordedStep::operator()(const std::vector<data::Batch>& batches, int64_t step,
                                              double lr) {
  upload(batches, step);
  model_.mode().step_on_gpu = step_number_;
  if (!record_ || steps_of_this_size_++ < kWarmUp) {
    loss_ = differentiate_(input_);
    optimizer_.step(lr, loss_);
  } else {
    if (!graph_) record();
    optimizer_.send_rate(lr);
    graph_->launch();
  }
  model_.mode().step_on_gpu = Tensor();
  readback_[verdicts_asked_++ % 2].start(optimizer_.verdict_on_gpu());
  if (verdicts_asked_ - verdicts_read_ < 2) return {};
  return {next_verdict()};
}

// Nothing is computed yet: the kernels that these calls would start are noted, and their memory is
// kept for them.
void RecordedStep::record() {
  model_.zero_grad();  // gives the memory of the last step's gradients back
  loss_ = Tensor();
  auto graph = std::make_unique<cuda::Graph>();
  graph->capture([&] {
    loss_ = differentiate_(input_);
    optimizer_.find_gradients();
    optimizer_.launch(loss_);
  });
  graph_ = std::move(graph);
}

void RecordedStep::upload(const std::vector<data::Batch>& batches, int64_t step) {
  if (!same_kind(input_, batches)) {
    graph_.reset();
    input_.assign(batches.size(), data::Batch());
    steps_of_this_size_ = 0;
  }
  for (size_t i = 0; i < batches.size(); ++i)
    for (Tensor data::Batch::*field : data::kBatchTensors)
      if ((batches[i].*field).defined()) put(input_[i].*field, batches[i].*field);
  put(step_number_, Tensor::from<int64_t>({step}, {}));
}

std::vector<Verdict> RecordedStep::finish() {
  std::vector<Verdict> verdicts;
  while (verdicts_read_ < verdicts_asked_) verdicts.push_back(next_verdict());
  return verdicts;
}

Verdict RecordedStep::next_verdict() {
  Verdict verdict;
  std::memcpy(&verdict, readback_[verdicts_read_++ % 2].wait(), sizeof verdict);
  return verdict;
}

void RecordedStep::forget() {
  graph_.reset();
  input_.clear();
  loss_ = Tensor();
  steps_of_this_size_ = 0;
}

}  // namespace rmt::train
