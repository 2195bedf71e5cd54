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
  __device__ W operator()(W y, W dy) const { return dy * (1 - y * y); }
};

}  // namespace

template <class T>
void tanh_forward(const T* x, T* y, int64_t n) {
  cuda::map("tanh_forward", Forward<T>(), y, n, x);
}

template <class T>
void tanh_backward(const T* y, const T* dy, T* dx, int64_t n) {
  cuda::map("tanh_backward", Backward<T>(), dx, n, y, dy);
}

INSTANTIATE(tanh_forward)
INSTANTIATE(tanh_backward)

}  // namespace rmt::gpu
