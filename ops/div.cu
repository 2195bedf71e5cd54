// div.cpp's formulas, a thread to each 16 bytes. Quotients are exact in bf16 too: an approximate
// reciprocal is 0 or infinite for some b for which a / b is not.
#include "ops/kernels/broadcast.cuh"

namespace rmt::gpu {
namespace {

struct Quotient {
  template <class W>
  __device__ W operator()(W a, W b) const {
    return a / b;
  }
};

struct ByDivisor {
  template <class W>
  __device__ W operator()(W dy, W a, W b) const {
    return W(-1) * dy * (a / b / b);
  }
};

}  // namespace

template <class T>
void div_forward(const T* a, const T* b, T* y, Broadcast<2> s) {
  cuda::broadcast_map("div_forward", s, y, Quotient(), {a, b});
}

template <class T>
void div_backward_a(const T* dy, const T* b, T* da, Wide<T>* sums, Broadcast<2> s) {
  cuda::broadcast_gradient("div_backward_a", s, da, sums, Quotient(), {dy, b});
}

template <class T>
void div_backward_b(const T* dy, const T* a, const T* b, T* db, Wide<T>* sums, Broadcast<3> s) {
  cuda::broadcast_gradient("div_backward_b", s, db, sums, ByDivisor(), {dy, a, b});
}

INSTANTIATE(div_forward)
INSTANTIATE(div_backward_a)
INSTANTIATE(div_backward_b)

}  // namespace rmt::gpu
