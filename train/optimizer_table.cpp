#include "train/optimizer_table.h"

#include <cstring>
#include <utility>

#include "autograd/tape.h"
#include "core/cuda/device.h"

namespace rmt::train {
namespace gpu {  // guard.cu, adamw.cu and sgd.cu
void guard(const OptimizerView& view, const GuardOptions& options, const float* loss,
           float take_average);
void adamw(const OptimizerView& view, const AdamWOptions& options, float take_average);
void sgd(const OptimizerView& view, const SgdOptions& options, float take_average);
void swap_averages(const OptimizerView& view);  // average.cu
}  // namespace gpu

namespace {

template <class T>
void send(const T* to, const T* from, size_t n) {
  cuda::copy(const_cast<T*>(to), Device::cuda, from, Device::cpu, n * sizeof(T));
}

float* numbers_of(const Tensor& x) { return static_cast<float*>(x.raw()); }

std::vector<gpu::Chunk> chunks_of(const std::vector<OptimizerSlot>& slots) {
  std::vector<int64_t> numel;
  for (const OptimizerSlot& s : slots) numel.push_back(s.parameter->numel());
  return gpu::chunks_of(numel);
}

}  // namespace

template <class T>
T* OptimizerTable::place(size_t n) {
  storage_.push_back(std::make_unique<Storage>(n * sizeof(T), Device::cuda));
  return static_cast<T*>(storage_.back()->data());
}

template <class T>
T* OptimizerTable::place(const std::vector<T>& numbers) {
  T* there = place<T>(numbers.size());
  send(there, numbers.data(), numbers.size());
  return there;
}

OptimizerTable::OptimizerTable(const std::vector<OptimizerSlot>& slots,
                               const Statistics& statistics, const WeightAverage& average)
    : rate_(Tensor::zeros({}, DType::f64, Device::cuda)) {
  std::vector<double> lr_scale;
  std::vector<double> weight_decay;
  for (const OptimizerSlot& s : slots) {
    CHECK(s.parameter->dtype() == DType::f32, "optimizer: ", s.name, " is ", s.parameter->dtype(),
          "; on a GPU parameters are f32");
    parameters_.push_back({.p = numbers_of(*s.parameter),
                           .m = numbers_of(s.exp_avg),
                           .v = numbers_of(s.exp_avg_sq),
                           .gradient = nullptr,
                           .average = numbers_of(average.of(parameters_.size())),
                           .shadow = nullptr,
                           .n = s.parameter->numel()});
    lr_scale.push_back(s.lr_scale);
    weight_decay.push_back(s.weight_decay);
  }
  std::vector<gpu::StatisticArrays> arrays;
  for (const Statistics::Entry& e : statistics.entries())
    arrays.push_back({.now = numbers_of(*e.buffer),
                      .kept = numbers_of(e.kept),
                      .average = numbers_of(average.of(slots.size() + arrays.size())),
                      .n = e.buffer->numel()});
  const std::vector<gpu::Chunk> chunks = chunks_of(slots);
  view_ = {.parameters = place<gpu::ParameterArrays>(slots.size()),
           .lr_scale = place(lr_scale),
           .weight_decay = place(weight_decay),
           .t = place<int64_t>(slots.size()),
           .factors = place<AdamWFactors<float>>(slots.size()),
           .chunks = place(chunks),
           .squares = place<double>(chunks.size()),
           .statistics = place(arrays),
           .lr = static_cast<const double*>(rate_.raw()),
           .gradient_scale = place<double>(1),
           .verdict = place(std::vector<Verdict>(1)),
           .parameter_count = int64_t(slots.size()),
           .chunk_count = int64_t(chunks.size()),
           .statistic_count = int64_t(arrays.size())};
  send_counts(slots);
}

void OptimizerTable::find_gradients(const std::vector<OptimizerSlot>& slots) {
  for (size_t i = 0; i < slots.size(); ++i) {
    const float* gradient = numbers_of(grad(*slots[i].parameter));
    bf16* copy = static_cast<bf16*>(shadow(*slots[i].parameter).raw());
    gpu::ParameterArrays& arrays = parameters_[i];
    changed_ |= arrays.gradient != gradient || arrays.shadow != copy;
    arrays.gradient = gradient;
    arrays.shadow = copy;
  }
}

void OptimizerTable::send_arrays() {
  if (std::exchange(changed_, false))
    send(view_.parameters, parameters_.data(), parameters_.size());
}

void OptimizerTable::launch(const OptimizerOptions& options, const Tensor& loss) {
  CHECK(!loss.defined() ||
            (loss.numel() == 1 && loss.dtype() == DType::f32 && loss.device() == Device::cuda),
        "optimizer: loss is ", loss.dtype(), " ", loss.shape(), " on ", loss.device(),
        ", expected one f32 on the GPU");
  if (view_.chunk_count == 0) return;
  const float take_average = float(1 - options.average_decay);
  gpu::guard(view_, options.guard, numbers_of(loss), take_average);
  if (options.sgd)
    gpu::sgd(view_, *options.sgd, take_average);
  else
    gpu::adamw(view_, options.adamw, take_average);
}

// The copies in bf16 are found anew; gradients stay as they are noted, for a recording that knows
// them.
void OptimizerTable::swap_averages(const std::vector<OptimizerSlot>& slots) {
  for (size_t i = 0; i < slots.size(); ++i) {
    bf16* copy = static_cast<bf16*>(shadow(*slots[i].parameter).raw());
    changed_ |= parameters_[i].shadow != copy;
    parameters_[i].shadow = copy;
  }
  send_arrays();
  if (view_.chunk_count > 0) gpu::swap_averages(view_);
}

void OptimizerTable::fetch_counts(std::vector<OptimizerSlot>& slots) const {
  std::vector<int64_t> t(slots.size());
  cuda::copy(t.data(), Device::cpu, view_.t, Device::cuda, t.size() * sizeof(int64_t));
  for (size_t i = 0; i < t.size(); ++i) slots[i].t = t[i];
}

void OptimizerTable::send_counts(const std::vector<OptimizerSlot>& slots) {
  std::vector<int64_t> t;
  for (const OptimizerSlot& s : slots) t.push_back(s.t);
  send(view_.t, t.data(), t.size());
}

Verdict OptimizerTable::verdict() const {
  Verdict verdict;
  cuda::copy(&verdict, Device::cpu, view_.verdict, Device::cuda, sizeof verdict);
  return verdict;
}

}  // namespace rmt::train
