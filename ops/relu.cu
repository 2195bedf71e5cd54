// relu.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return x < 0 ? W(0) : x; }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W y, W dy) const { return y > 0 ? dy : W(0); }
};

}  // namespace

template <class T>
void relu_forward(const T* x, T* y, int64_t n) {
  cuda::map("relu_forward", Forward<T>(), y, n, x);
}

template <class T>
void relu_backward(const T* y, const T* dy, T* dx, int64_t n) {
  cuda::map("relu_backward", Backward<T>(), dx, n, y, dy);
}

INSTANTIATE(relu_forward)
INSTANTIATE(relu_backward)

}  // namespace rmt::gpu
