#include "train/sgd.h"

#include "core/parallel.h"

namespace rmt::train {
namespace {

constexpr int64_t kPiece = 1 << 14;  // numbers that a thread takes at once

template <class T>
void update(const OptimizerSlot& slot, const Tensor& gradient, const SgdFactors<T>& factors) {
  parallel_for(gradient.numel(), kPiece, [&](int64_t begin, int64_t end) {
    const SgdFactors<T> f = factors;  // in registers, and the loop in vectors
    T* __restrict p = slot.parameter->data<T>();
    T* __restrict m = slot.exp_avg.data<T>();
    const T* __restrict g = gradient.data<T>();
    for (int64_t i = begin; i < end; ++i) sgd(p[i], m[i], g[i], f);
  });
}

}  // namespace

void sgd(OptimizerSlot& slot, const Tensor& gradient, double gradient_scale, double lr,
         const SgdOptions& options) {
  ++slot.t;
  lr *= slot.lr_scale;
  if (gradient.dtype() == DType::f64)
    update(slot, gradient, sgd_factors<double>(options, gradient_scale, lr, slot.weight_decay));
  else
    update(slot, gradient, sgd_factors<float>(options, gradient_scale, lr, slot.weight_decay));
}

}  // namespace rmt::train
