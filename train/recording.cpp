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

}  // namespace

RecordedStep::RecordedStep(nn::Module& model, Optimizer& optimizer, Differentiate differentiate,
                           std::function<void()> send_tables, bool record)
    : model_(model),
      optimizer_(optimizer),
      differentiate_(std::move(differentiate)),
      send_tables_(std::move(send_tables)),
      record_(record && !debugging()),
      step_number_(Tensor::zeros({}, DType::i64, Device::cuda)),
      readback_{cuda::Readback(sizeof(Verdict)), cuda::Readback(sizeof(Verdict))} {}

std::vector<Verdict> RecordedStep::operator()(const std::vector<data::Batch>& batches, int64_t step,
                                              double lr) {
  upload(batches, step, lr);
  model_.mode().step_on_gpu = step_number_;
  if (!record_ || steps_of_this_size_++ < kWarmUp) {
    loss_ = differentiate_(input_);
    optimizer_.find_gradients();
    optimizer_.send_arrays();
    optimizer_.launch(loss_);
  } else {
    if (!graph_) record();
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
    loss_ = Tensor();
    loss_ = differentiate_(input_);
    optimizer_.find_gradients();
    optimizer_.launch(loss_);
  });
  graph_ = std::move(graph);
  optimizer_.send_arrays();
  send_tables_();
}

// All that a step reads and that was not there before.
void RecordedStep::upload(const std::vector<data::Batch>& batches, int64_t step, double lr) {
  if (!same_kind(input_, batches)) make_input(batches);
  std::vector<Tensor> from, to;
  for (size_t i = 0; i < batches.size(); ++i) {
    data::Batch there = batches[i];  // what is no tensor stays on the host: places, objects
    for (Tensor data::Batch::*field : data::kBatchTensors) {
      if (!(there.*field).defined()) continue;
      from.push_back(there.*field);
      to.push_back(input_[i].*field);
      there.*field = input_[i].*field;
    }
    input_[i] = std::move(there);
  }
  from.push_back(Tensor::from<int64_t>({step}, {}));
  to.push_back(step_number_);
  from.push_back(Tensor::from<double>({lr}, {}));
  to.push_back(optimizer_.rate_on_gpu());
  upload_.send(from, to);
}

// Places for batches of another size than before.
void RecordedStep::make_input(const std::vector<data::Batch>& batches) {
  forget();
  input_.assign(batches.size(), data::Batch());
  for (size_t i = 0; i < batches.size(); ++i)
    for (Tensor data::Batch::*field : data::kBatchTensors)
      if (const Tensor& x = batches[i].*field; x.defined())
        input_[i].*field = Tensor::empty(x.shape(), x.dtype(), Device::cuda);
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
