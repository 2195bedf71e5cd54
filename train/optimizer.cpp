#include "train/optimizer.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "core/cuda/device.h"
#include "core/parallel.h"

namespace rmt {
namespace gpu {  // optimizer.cu
void adamw(const AdamWArrays<float>* arrays, const AdamWFactors* factors, const AdamWChunk* chunks, int64_t count, const float* gate);
}  // namespace gpu

namespace {

// One pass over p, m, v and g; the compiler vectorises the loop.
template <class T>
void update(const AdamWArrays<T>& a, const AdamWFactors& f) {
  const T decay = T(f.decay), take1 = T(f.take1), keep2 = T(f.keep2), take2 = T(f.take2), step = T(f.step), correction2 = T(f.correction2), eps = T(f.eps),
          take_ema = T(f.take_ema);
  parallel_for(a.n, 1 << 14, [&](int64_t begin, int64_t end) {
    T* __restrict p = a.p, * __restrict m = a.m, * __restrict v = a.v, * __restrict ema = a.ema;
    const T* __restrict g = a.g;
    for (int64_t i = begin; i < end; ++i) {
      m[i] += take1 * (g[i] - m[i]);
      v[i] = keep2 * v[i] + take2 * (g[i] * g[i]);
      p[i] = p[i] * decay - step * (m[i] / (std::sqrt(v[i]) / correction2 + eps));
    }
    if (ema)
      for (int64_t i = begin; i < end; ++i) ema[i] += take_ema * (p[i] - ema[i]);
  });
}

template <class T>
AdamWArrays<T> arrays(const AdamW::Slot& s, const Tensor& g) {
  auto at = [](const Tensor& x) { return static_cast<T*>(x.raw()); };
  const Tensor& shadow = s.parameter->node->shadow;
  return {at(*s.parameter), at(s.exp_avg), at(s.exp_avg_sq), at(g), at(s.ema), static_cast<bf16*>(shadow.raw()), s.parameter->numel()};
}

}  // namespace

// Host copies of the kernel's tables, and theirs in the GPU's memory.
struct AdamW::Table {
  std::vector<AdamWArrays<float>> arrays;  // of slots that have a gradient; n = 0 for the others
  std::vector<AdamWFactors> factors;
  Storage arrays_on_gpu, factors_on_gpu, chunks_on_gpu;
  int64_t chunk_count;
  bool changed = true;

  Table(size_t slots, const std::vector<gpu::AdamWChunk>& chunks)
      : arrays(slots),
        factors(slots),
        arrays_on_gpu(slots * sizeof(AdamWArrays<float>), Device::cuda),
        factors_on_gpu(slots * sizeof(AdamWFactors), Device::cuda),
        chunks_on_gpu(chunks.size() * sizeof(gpu::AdamWChunk), Device::cuda),
        chunk_count(int64_t(chunks.size())) {
    cuda::copy(chunks_on_gpu.data(), Device::cuda, chunks.data(), Device::cpu, chunks.size() * sizeof(gpu::AdamWChunk));
  }
};

AdamW::AdamW(const std::vector<nn::Entry>& parameters, const AdamWOptions& options) : options_(options) {
  std::vector<gpu::AdamWChunk> chunks;
  for (const nn::Entry& e : parameters) {
    const Tensor& p = *e.tensor;
    slots_.push_back({e.name, e.tensor, decays(e.name, p.shape()) ? options.weight_decay : 0, Tensor::zeros_like(p), Tensor::zeros_like(p),
                      options.ema_decay > 0 ? p.clone() : Tensor()});
    CHECK(p.device() == parameters[0].tensor->device(), "AdamW: ", e.name, " is on ", p.device(), ", others are not");
    for (int32_t i = 0; i * gpu::kAdamWChunk < p.numel(); ++i) chunks.push_back({int32_t(slots_.size() - 1), i});
  }
  if (chunks.empty() || slots_[0].parameter->device() == Device::cpu) return;
  for (const Slot& s : slots_) CHECK(s.parameter->dtype() == DType::f32, "AdamW: ", s.name, " is ", s.parameter->dtype(), "; on a GPU parameters are f32");
  table_ = std::make_unique<Table>(slots_.size(), chunks);
}

AdamW::~AdamW() = default;

AdamWFactors AdamW::factors(const Slot& s, double lr) const {
  const AdamWOptions& o = options_;
  const double t = double(s.t);
  return {.decay = 1 - lr * s.weight_decay,
          .take1 = 1 - o.beta1,
          .keep2 = o.beta2,
          .take2 = 1 - o.beta2,
          .step = lr / (1 - std::pow(o.beta1, t)),
          .correction2 = std::sqrt(1 - std::pow(o.beta2, t)),
          .eps = o.eps,
          .take_ema = 1 - o.ema_decay};
}

void AdamW::step(double lr, const Tensor& gate) {
  if (table_) {
    collect();
    advance(lr);
    launch(gate);
    return;
  }
  for (Slot& s : slots_) {
    Tensor g = grad(*s.parameter);
    if (!g.defined()) continue;
    ++s.t;
    if (g.dtype() == DType::f64)
      update(arrays<double>(s, g), factors(s, lr));
    else
      update(arrays<float>(s, g), factors(s, lr));
    if (const Tensor& shadow = s.parameter->node->shadow; shadow.defined()) shadow.copy_from(*s.parameter);
  }
}

void AdamW::collect() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Tensor g = grad(*slots_[i].parameter);
    AdamWArrays<float> a = arrays<float>(slots_[i], g);
    if (!g.defined()) a.n = 0;
    table_->changed |= std::memcmp(&a, &table_->arrays[i], sizeof a) != 0;
    table_->arrays[i] = a;
  }
}

void AdamW::advance(double lr) {
  Table& t = *table_;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (t.arrays[i].n > 0) ++slots_[i].t, t.factors[i] = factors(slots_[i], lr);
  auto send = [](Storage& to, const void* from) { cuda::copy(to.data(), Device::cuda, from, Device::cpu, to.bytes()); };
  send(t.factors_on_gpu, t.factors.data());
  if (std::exchange(t.changed, false)) send(t.arrays_on_gpu, t.arrays.data());
}

void AdamW::launch(const Tensor& gate) {
  CHECK(!gate.defined() || (gate.numel() == 1 && gate.dtype() == DType::f32 && gate.device() == Device::cuda), "AdamW: gate is ", gate.dtype(), " ",
        gate.shape(), " on ", gate.device(), ", expected one f32 on the GPU");
  const Table& t = *table_;
  gpu::adamw(static_cast<const AdamWArrays<float>*>(t.arrays_on_gpu.data()), static_cast<const AdamWFactors*>(t.factors_on_gpu.data()),
             static_cast<const gpu::AdamWChunk*>(t.chunks_on_gpu.data()), t.chunk_count, static_cast<const float*>(gate.raw()));
}

}  // namespace rmt
