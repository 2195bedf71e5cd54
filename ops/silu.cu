// silu.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return cuda::quotient_for<T>(x, 1 + cuda::exp_for<T>(-x)); }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W x, W dy) const {
    const W s = cuda::quotient_for<T>(1, 1 + cuda::exp_for<T>(-x));
    return dy * s * (1 + x * (1 - s));
  }
};

}  // namespace

template <class T>
void silu_forward(const T* x, T* y, int64_t n) {
  cuda::map("silu_forward", Forward<T>(), y, n, x);
}

template <class T>
void silu_backward(const T* x, const T* dy, T* dx, int64_t n) {
  cuda::map("silu_backward", Backward<T>(), dx, n, x, dy);
}

INSTANTIATE(silu_forward)
INSTANTIATE(silu_backward)

}  // namespace rmt::gpu
