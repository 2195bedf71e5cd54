// exp.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return cuda::exp_for<T>(x); }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W y, W dy) const { return dy * y; }
};

}  // namespace

template <class T>
void exp_forward(const T* x, T* y, int64_t n) {
  cuda::map("exp_forward", Forward<T>(), y, n, x);
}

template <class T>
void exp_backward(const T* y, const T* dy, T* dx, int64_t n) {
  cuda::map("exp_backward", Backward<T>(), dx, n, y, dy);
}

INSTANTIATE(exp_forward)
INSTANTIATE(exp_backward)

}  // namespace rmt::gpu
