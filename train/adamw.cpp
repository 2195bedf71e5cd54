#include "train/adamw.h"

#include "core/parallel.h"

namespace rmt::train {
namespace {

constexpr int64_t kPiece = 1 << 14;  // numbers that a thread takes at once

template <class T>
void update(const OptimizerSlot& slot, const Tensor& gradient, const AdamWFactors<T>& factors) {
  parallel_for(gradient.numel(), kPiece, [&](int64_t begin, int64_t end) {
    const AdamWFactors<T> f = factors;  // in registers, and the loop in vectors
    T* __restrict p = slot.parameter->data<T>();
    T* __restrict m = slot.exp_avg.data<T>();
    T* __restrict v = slot.exp_avg_sq.data<T>();
    const T* __restrict g = gradient.data<T>();
    for (int64_t i = begin; i < end; ++i) adamw(p[i], m[i], v[i], g[i], f);
  });
}

}  // namespace

void adamw(OptimizerSlot& slot, const Tensor& gradient, double gradient_scale, double lr,
           const AdamWOptions& options) {
  ++slot.t;
  auto factors = [&]<class T>(T) {
    return adamw_factors<T>(options, gradient_scale, lr * slot.lr_scale, slot.weight_decay, slot.t);
  };
  if (gradient.dtype() == DType::f64)
    update(slot, gradient, factors(double()));
  else
    update(slot, gradient, factors(float()));
}

}  // namespace rmt::train
