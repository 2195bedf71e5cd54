#include "train/step.h"

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/ops.h"
#include "train/memory.h"

namespace rmt {

// Steps that run as they are before one is recorded: they make the tables and choices that are kept (rotary tables, algorithms of matrix products).
constexpr int64_t kWarmUp = 2;

TrainStep::TrainStep(nn::Module& model, Forward forward, AdamW& optimizer, const Compute& compute, const StepOptions& options)
    : model_(model), forward_(std::move(forward)), optimizer_(optimizer), compute_(compute), options_(options) {
  if (compute_.device == Device::cuda)
    for (auto& r : readback_) r = std::make_unique<cuda::Readback>();
}

std::vector<double> TrainStep::operator()(const Batch& batch, int64_t step, double lr) {
  nn::Mode& mode = model_.mode();
  mode.training = true, mode.seed = options_.seed, mode.step = step;
  if (compute_.device == Device::cpu) return {run_on_cpu(batch, lr)};
  try {
    upload(batch, step);
    mode.step_on_gpu = step_;
    run_on_gpu(lr);
    mode.step_on_gpu = Tensor();
  } catch (const OutOfMemory& e) {
    advise_on_memory(e, batch);
  }
  readback_[started_++ % 2]->start(static_cast<const float*>(loss_.raw()));
  if (started_ - known_ < 2) return {};
  return {double(readback_[known_++ % 2]->wait())};
}

std::vector<double> TrainStep::finish() {
  std::vector<double> losses;
  while (known_ < started_) losses.push_back(double(readback_[known_++ % 2]->wait()));
  return losses;
}

Tensor TrainStep::forward(const Batch& batch) {
  const Tensor logits = forward_(compute_.images(batch, options_.transform));  // (B, K)
  return ops::cross_entropy(logits, ops::smooth_one_hot(batch.labels, logits.dim(1), options_.smoothing, wide(logits.dtype())));
}

double TrainStep::run_on_cpu(const Batch& batch, double lr) {
  model_.zero_grad();
  const Tensor loss = forward(batch);
  const double value = loss.to(DType::f64).item<double>();
  if (!std::isfinite(value)) return value;
  backward(loss);
  optimizer_.step(lr);
  return value;
}

// Leaves loss_ and the gradients.
void TrainStep::differentiate(const Batch& batch) {
  model_.zero_grad();
  loss_ = Tensor();
  loss_ = forward(batch);
  backward(loss_);
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
      optimizer_.collect();
      optimizer_.launch(loss_);
    });
    graph_ = std::move(graph);
  }
  optimizer_.advance(lr);
  graph_->launch();
}

// Into the tensors that the recording reads. A batch of another kind or size gets new ones, and another recording.
void TrainStep::upload(const Batch& batch, int64_t step) {
  auto put = [](Tensor& to, const Tensor& from) { to.defined() ? to.copy_from(from) : void(to = from.to(Device::cuda)); };
  const Tensor &before = input_.images, &now = batch.images;
  if (before.shape() != now.shape() || before.dtype() != now.dtype() || input_.mirror.defined() != batch.mirror.defined()) {
    graph_.reset();
    input_ = Batch();
    same_ = 0;
  }
  put(input_.images, batch.images);
  put(input_.labels, batch.labels);
  if (batch.mirror.defined()) put(input_.mirror, batch.mirror);
  put(step_, Tensor::from<int64_t>({step}, {}));
}

void TrainStep::advise_on_memory(const OutOfMemory& e, const Batch& batch) {
  auto forget = [&] {
    model_.zero_grad();
    loss_ = Tensor();
  };
  graph_.reset(), input_ = Batch(), same_ = 0;
  forget();
  const Tensor& x = batch.images;
  advise(e, str("a training step of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)), "--batch-size", x.dim(0), [&](int64_t n) {
    Batch part = first(batch, n);
    for (Tensor* t : {&part.images, &part.mirror, &part.labels}) *t = t->to(Device::cuda);
    try {
      differentiate(part);
    } catch (...) {
      forget();
      throw;
    }
    forget();
  });
}

}  // namespace rmt
