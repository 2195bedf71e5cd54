// log.cpp's formulas, a thread to each 16 bytes. Exact for bf16 too: an approximate logarithm would
// take numbers below 2^-126 for 0.
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return ::log(x); }

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return logarithm(x); }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W x, W dy) const { return dy / x; }
};

}  // namespace

template <class T>
void log_forward(const T* x, T* y, int64_t n) {
  cuda::map("log_forward", Forward<T>(), y, n, x);
}

template <class T>
void log_backward(const T* x, const T* dy, T* dx, int64_t n) {
  cuda::map("log_backward", Backward<T>(), dx, n, x, dy);
}

INSTANTIATE(log_forward)
INSTANTIATE(log_backward)

}  // namespace rmt::gpu
