// tanh.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

__device__ __forceinline__ float tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double tangent(double x) { return ::tanh(x); }

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return tangent(x); }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W x, W dy) const {
    const W e = cuda::exp_for<T>(2 * (x < 0 ? x : -x));
    return cuda::quotient_for<T>(4 * dy * e, (1 + e) * (1 + e));
  }
};

}  // namespace

template <class T>
void tanh_forward(const T* x, T* y, int64_t n) {
  cuda::map("tanh_forward", Forward<T>(), y, n, x);
}

template <class T>
void tanh_backward(const T* x, const T* dy, T* dx, int64_t n) {
  cuda::map("tanh_backward", Backward<T>(), dx, n, x, dy);
}

INSTANTIATE(tanh_forward)
INSTANTIATE(tanh_backward)

}  // namespace rmt::gpu
