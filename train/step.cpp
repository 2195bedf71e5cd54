#include "train/step.h"

#include <algorithm>
#include <cmath>

#include "autograd/backward.h"
#include "train/memory.h"

namespace rmt::train {

// The step. More than one batch: their gradients are added (--grad-accum-steps).
std::vector<Verdict> TrainStep::operator()(const std::vector<data::Batch>& parts, int64_t step,
                                           double lr) {
  CHECK(int64_t(parts.size()) * processes_.size() == optimizer_.options().guard.parts,
        "training step: ", parts.size(), " batches in each of ", processes_.size(),
        " processes, the optimizer averages over ", optimizer_.options().guard.parts);
  nn::Mode& mode = model_.mode();
  mode.training = true;
  mode.seed = options_.seed;
  mode.step = step;
  if (on_gpu_) return repeat_on_gpu(parts, step, lr);  // what follows, recorded once and repeated
  const Tensor loss = differentiate(parts);
  optimizer_.step(lr, loss);  // judges and clips the gradients (guard.h), then moves p
  return {optimizer_.verdict()};
}

// Leaves the sum of all processes' gradients beside the parameters and returns the sum of their
// losses, (). Where a process is alone, on the CPU, a loss that is not finite ends it: nothing will
// move.
Tensor TrainStep::differentiate(const std::vector<data::Batch>& parts) {
  model_.zero_grad();
  sums_.begin();
  parts_.clear();
  Tensor sum;
  for (size_t i = 0; i < parts.size(); ++i) {
    // Of the part among those of all processes, for drop path's chances.
    const int64_t number = int64_t(i) * processes_.size() + processes_.rank();
    model_.mode().first_sample = number * parts[i].images.dim(0);
    const Losses losses = losses_of(parts[i]);
    const Tensor& loss = losses.total;
    if (sum.defined())
      sum.add_from(loss.detach());
    else
      sum = loss.clone();
    if (!on_gpu_ || !options_.graph) note_parts(losses, 1 / double(parts.size()));
    const bool alone_on_cpu = processes_.size() == 1 && !on_gpu_;
    if (alone_on_cpu && !std::isfinite(sum.to(DType::f64).item<double>())) break;
    if (i + 1 < parts.size()) {
      backward(loss);
      sums_.part_done();
    } else {
      backward(loss, [this](const Node& leaf) { sums_.complete(leaf); });
    }
  }
  model_.mode().first_sample = 0;
  sums_.finish();
  const bool own_statistics = processes_.size() > 1 && !model_.mode().processes;
  if (own_statistics) optimizer_.statistics().share(processes_);
  processes_.all_reduce(sum);
  return sum;
}

// The forward pass (train/objective.h).
Losses TrainStep::losses_of(const data::Batch& batch) {
  const Tensor images = compute_.images(batch, options_.transform);  // (B, H, W, 3)
  return options_.objective(images, batch);
}

// Adds a batch's share of each part.
void TrainStep::note_parts(const Losses& losses, double share) {
  for (const auto& [name, x] : losses.parts) {
    auto it = std::find_if(parts_.begin(), parts_.end(),
                           [&, n = name](const auto& part) { return part.first == n; });
    if (it == parts_.end()) it = parts_.insert(parts_.end(), {name, 0});
    it->second += share * x.to(Device::cpu).to(DType::f64).item<double>();
  }
}

// --- what it is made of ---

namespace {

std::vector<Tensor*> parameters_of(Optimizer& optimizer) {
  std::vector<Tensor*> parameters;
  for (OptimizerSlot& slot : optimizer.slots()) parameters.push_back(slot.parameter);
  return parameters;
}

}  // namespace

TrainStep::TrainStep(nn::Module& model, Forward forward, Optimizer& optimizer,
                     const Compute& compute, const StepOptions& options)
    : model_(model),
      optimizer_(optimizer),
      compute_(compute),
      options_(options),
      processes_(*compute.processes),
      sums_(parameters_of(optimizer), processes_, kBucketBytes,
            optimizer.options().guard.parts / processes_.size()) {
  if (!options_.objective)
    options_.objective = classification(forward, options.loss, options.smoothing);
  if (compute.device == Device::cuda)
    on_gpu_ = std::make_unique<RecordedStep>(
        model, optimizer, [this](const auto& parts) { return differentiate(parts); },
        [this] { sums_.send_tables(); }, options.graph && processes_.recordable());
}

std::vector<Verdict> TrainStep::finish() {
  return on_gpu_ ? on_gpu_->finish() : std::vector<Verdict>();
}

std::vector<Verdict> TrainStep::repeat_on_gpu(const std::vector<data::Batch>& parts, int64_t step,
                                              double lr) {
  try {
    return (*on_gpu_)(parts, step, lr);
  } catch (const OutOfMemory& e) {
    advise_on_memory(e, parts[0]);
  }
}

// Throws e again, with advice: tries smaller batches, without the optimizer, to say which one fits.
// clean_up undoes what a trial has left: gradients, and batch norm's statistics (guard.h).
// Of several processes only those that are short of memory come here, so that none can try.
void TrainStep::advise_on_memory(const OutOfMemory& e, const data::Batch& batch) {
  if (processes_.size() > 1) throw OutOfMemory(e, str(e.what(), "; give a smaller --batch-size"));
  auto clean_up = [&] {
    model_.zero_grad();
    optimizer_.statistics().take_back();
  };
  on_gpu_->forget();
  clean_up();
  const Tensor& x = batch.images;
  throw_with_batch_that_fits(
      e, str("a training step of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)),
      "--batch-size", x.dim(0), [&](int64_t n) {
        data::Batch part = first_images(batch, n);
        part.mix = Tensor();  // an odd number of images cannot be mixed
        for (Tensor data::Batch::*field : data::kBatchTensors)
          if ((part.*field).defined()) part.*field = (part.*field).to(Device::cuda);
        try {
          differentiate({part});
        } catch (...) {
          clean_up();
          throw;
        }
        clean_up();
      });
}

}  // namespace rmt::train
