// sub.cpp's formulas, a thread to each 16 bytes.
#include "ops/kernels/broadcast.cuh"

namespace rmt::gpu {
namespace {

struct Difference {
  template <class W>
  __device__ W operator()(W a, W b) const {
    return a - b;
  }
};

struct Signed {
  int sign;
  template <class W>
  __device__ W operator()(W dy) const {
    return W(sign) * dy;
  }
};

}  // namespace

template <class T>
void sub_forward(const T* a, const T* b, T* y, Broadcast<2> s) {
  cuda::broadcast_map("sub_forward", s, y, Difference(), {a, b});
}

template <class T>
void sub_backward(const T* dy, T* dx, Wide<T>* sums, int sign, Broadcast<1> s) {
  cuda::broadcast_gradient("sub_backward", s, dx, sums, Signed{sign}, {dy});
}

INSTANTIATE(sub_forward)
INSTANTIATE(sub_backward)

}  // namespace rmt::gpu
