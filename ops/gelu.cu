// gelu.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/gelu.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return x * normal<T>(x).cdf; }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W x, W dy) const {
    const Normal<W> n = normal<T>(x);
    return dy * (n.cdf + x * n.pdf);
  }
};

}  // namespace

template <class T>
void gelu_forward(const T* x, T* y, int64_t n) {
  cuda::map("gelu_forward", Forward<T>(), y, n, x);
}

template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, int64_t n) {
  cuda::map("gelu_backward", Backward<T>(), dx, n, x, dy);
}

INSTANTIATE(gelu_forward)
INSTANTIATE(gelu_backward)

}  // namespace rmt::gpu
