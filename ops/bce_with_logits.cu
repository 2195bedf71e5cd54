// bce_with_logits.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/math.cuh"
#include "ops/kernels/mean_loss.cuh"

namespace rmt::gpu {
namespace {

__device__ __forceinline__ float log_1p(float x) { return log1pf(x); }
__device__ __forceinline__ double log_1p(double x) { return ::log1p(x); }

template <class W>
struct Forward {
  __device__ W operator()(W x, W t) const {
    const W positive = x > 0 ? x : W(0), distance = x > 0 ? x : -x;
    return positive - x * t + log_1p(cuda::exact_exp(-distance));
  }
};

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class W>
struct Backward {
  const W* dy;
  W n;
  __device__ W operator()(W x, W t) const { return *dy / n * (1 / (1 + cuda::exact_exp(-x)) - t); }
};

}  // namespace

template <class T>
void bce_with_logits_forward(const T* x, const Wide<T>* t, Wide<T>* y, int64_t n) {
  cuda::mean_loss("bce_with_logits_forward", Forward<Wide<T>>(), x, t, y, n);
}

template <class T>
void bce_with_logits_backward(const T* x, const Wide<T>* t, const Wide<T>* dy, T* dx, int64_t n) {
  cuda::map("bce_with_logits_backward", Backward<Wide<T>>{dy, Wide<T>(n)}, dx, n, x, t);
}

INSTANTIATE(bce_with_logits_forward)
INSTANTIATE(bce_with_logits_backward)

}  // namespace rmt::gpu
