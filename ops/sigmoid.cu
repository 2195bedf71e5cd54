// sigmoid.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return cuda::quotient_for<T>(1, 1 + cuda::exp_for<T>(-x)); }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W x, W dy) const {
    const W e = cuda::exp_for<T>((x < 0 ? x : -x));
    return cuda::quotient_for<T>(dy * e, (1 + e) * (1 + e));
  }
};

}  // namespace

template <class T>
void sigmoid_forward(const T* x, T* y, int64_t n) {
  cuda::map("sigmoid_forward", Forward<T>(), y, n, x);
}

template <class T>
void sigmoid_backward(const T* x, const T* dy, T* dx, int64_t n) {
  cuda::map("sigmoid_backward", Backward<T>(), dx, n, x, dy);
}

INSTANTIATE(sigmoid_forward)
INSTANTIATE(sigmoid_backward)

}  // namespace rmt::gpu
