#include "train/step.h"

#include <cmath>
#include <cstring>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/cross_entropy.h"
#include "ops/mix_images.h"
#include "train/memory.h"

namespace rmt::train {
namespace {

// Steps that run as they are before one is recorded: they make the tables and choices that are kept
// (rotary tables, algorithms of matrix products).
constexpr int64_t kWarmUp = 2;

Verdict verdict_at(const void* bytes) {
  Verdict v;
  std::memcpy(&v, bytes, sizeof v);
  return v;
}

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

TrainStep::TrainStep(nn::Module& model, Forward forward, Optimizer& optimizer,
                     const Compute& compute, const StepOptions& options)
    : model_(model),
      forward_(std::move(forward)),
      optimizer_(optimizer),
      compute_(compute),
      options_(options) {
  if (compute_.device == Device::cuda)
    for (auto& r : readback_) r = std::make_unique<cuda::Readback>(sizeof(Verdict));
}

std::vector<Verdict> TrainStep::operator()(const std::vector<data::Batch>& parts, int64_t step,
                                           double lr) {
  CHECK(int64_t(parts.size()) == optimizer_.options().guard.parts, "training step: ", parts.size(),
        " batches, the optimizer averages over ", optimizer_.options().guard.parts);
  nn::Mode& mode = model_.mode();
  mode.training = true, mode.seed = options_.seed, mode.step = step;
  if (compute_.device == Device::cpu) return {run_on_cpu(parts, lr)};
  try {
    upload(parts, step);
    mode.step_on_gpu = step_;
    run_on_gpu(lr);
    mode.step_on_gpu = Tensor();
  } catch (const OutOfMemory& e) {
    advise_on_memory(e, parts[0]);
  }
  readback_[started_++ % 2]->start(optimizer_.verdict_on_gpu());
  if (started_ - known_ < 2) return {};
  return {verdict_at(readback_[known_++ % 2]->wait())};
}

std::vector<Verdict> TrainStep::finish() {
  std::vector<Verdict> verdicts;
  while (known_ < started_) verdicts.push_back(verdict_at(readback_[known_++ % 2]->wait()));
  return verdicts;
}

Tensor TrainStep::forward(const data::Batch& batch) {
  Tensor images = compute_.images(batch, options_.transform);  // (B, H, W, 3)
  if (batch.mix.defined()) images = ops::mix_images(images, batch.mix);
  const Tensor logits = forward_(images);  // (B, K)
  return ops::cross_entropy(logits,
                            ops::smooth_one_hot(batch.labels, logits.dim(1), options_.smoothing,
                                                wide(logits.dtype()), batch.mix));
}

// Leaves the sums over the parts: loss_, and the parameters' gradients. On the CPU a loss that is
// not finite ends it: nothing will move.
void TrainStep::differentiate(const std::vector<data::Batch>& parts) {
  model_.zero_grad();
  loss_ = Tensor();
  int64_t& first_sample = model_.mode().first_sample;
  first_sample = 0;
  for (const data::Batch& part : parts) {
    const Tensor loss = forward(part);
    loss_.defined() ? loss_.add_from(loss.detach())
                    : void(loss_ = parts.size() > 1 ? loss.detach().clone() : loss.detach());
    if (compute_.device == Device::cpu && !std::isfinite(loss_.to(DType::f64).item<double>()))
      break;
    backward(loss);
    first_sample += part.labels.numel();
  }
  first_sample = 0;
}

Verdict TrainStep::run_on_cpu(const std::vector<data::Batch>& parts, double lr) {
  differentiate(parts);
  optimizer_.step(lr, loss_);
  return optimizer_.verdict();
}

void TrainStep::run_on_gpu(double lr) {
  if (!options_.graph || debugging() || same_++ < kWarmUp) {
    differentiate(input_);
    optimizer_.step(lr, loss_);
    return;
  }
  if (!graph_) {
    model_.zero_grad(), loss_ = Tensor();  // their memory
    auto graph = std::make_unique<cuda::Graph>();
    graph->capture([&] {
      differentiate(input_);
      optimizer_.find_gradients();
      optimizer_.launch(loss_);
    });
    graph_ = std::move(graph);
  }
  optimizer_.send_rate(lr);
  graph_->launch();
}

// Into the tensors that the recording reads. Batches of another kind or size get new ones, and
// another recording.
void TrainStep::upload(const std::vector<data::Batch>& parts, int64_t step) {
  auto put = [](Tensor& to, const Tensor& from) {
    to.defined() ? to.copy_from(from) : void(to = from.to(Device::cuda));
  };
  if (!same_kind(input_, parts)) {
    graph_.reset();
    input_.assign(parts.size(), data::Batch());
    same_ = 0;
  }
  for (size_t i = 0; i < parts.size(); ++i)
    for (Tensor data::Batch::*field : data::kBatchTensors)
      if ((parts[i].*field).defined()) put(input_[i].*field, parts[i].*field);
  put(step_, Tensor::from<int64_t>({step}, {}));
}

void TrainStep::advise_on_memory(const OutOfMemory& e, const data::Batch& batch) {
  auto forget = [&] {
    model_.zero_grad();
    loss_ = Tensor();
    optimizer_.statistics().take_back();
  };
  graph_.reset(), input_.clear(), same_ = 0;
  forget();
  const Tensor& x = batch.images;
  advise(e, str("a training step of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)),
         "--batch-size", x.dim(0), [&](int64_t n) {
           data::Batch part = first(batch, n);
           part.mix = Tensor();  // an odd number of images cannot be mixed
           for (Tensor data::Batch::*field : data::kBatchTensors)
             if ((part.*field).defined()) part.*field = (part.*field).to(Device::cuda);
           try {
             differentiate({part});
           } catch (...) {
             forget();
             throw;
           }
           forget();
         });
}

}  // namespace rmt::train
