// bce_with_logits.cpp's formulas, a thread to each 16 bytes.
#include "ops/kernels/mean_loss.cuh"
#include "ops/kernels/softplus.cuh"

namespace rmt::gpu {
namespace {

template <class W>
struct Forward {
  __device__ W operator()(W x, W t) const {
    return (x > 0 ? x : W(0)) - x * t + cuda::log_1p_exp(x);
  }
  __device__ W operator()(W x, W t, W w) const { return w * (*this)(x, t); }
};

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class W>
struct Backward {
  const W* dy;
  W normaliser;
  __device__ W operator()(W x, W t) const {
    return *dy / normaliser * (1 / (1 + cuda::exact_exp(-x)) - t);
  }
  __device__ W operator()(W x, W t, W w) const { return w * (*this)(x, t); }
};

}  // namespace

template <class T>
void bce_with_logits_forward(const T* x, const Wide<T>* t, const Wide<T>* w, Wide<T>* y, int64_t n,
                             double normaliser) {
  const char* name = "bce_with_logits_forward";
  if (w)
    cuda::sum_loss(name, Forward<Wide<T>>(), y, n, normaliser, x, t, w);
  else
    cuda::sum_loss(name, Forward<Wide<T>>(), y, n, normaliser, x, t);
}

template <class T>
void bce_with_logits_backward(const T* x, const Wide<T>* t, const Wide<T>* w, const Wide<T>* dy,
                              T* dx, int64_t n, double normaliser) {
  const Backward<Wide<T>> f{dy, Wide<T>(normaliser)};
  if (w)
    cuda::map("bce_with_logits_backward", f, dx, n, x, t, w);
  else
    cuda::map("bce_with_logits_backward", f, dx, n, x, t);
}

INSTANTIATE(bce_with_logits_forward)
INSTANTIATE(bce_with_logits_backward)

}  // namespace rmt::gpu
