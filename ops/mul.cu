// mul.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/broadcast.cuh"

namespace rmt::gpu {
namespace {

struct Product {
  template <class W>
  __device__ W operator()(W a, W b) const {
    return a * b;
  }
};

}  // namespace

template <class T>
void mul_forward(const T* a, const T* b, T* y, int64_t n) {
  cuda::map("mul_forward", Product(), y, n, a, b);
}

template <class T>
void mul_broadcast(const T* a, const T* b, T* y, Broadcast<2> s) {
  cuda::broadcast_map("mul_broadcast", s, y, Product(), {a, b});
}

template <class T>
void mul_sum(const T* a, const T* b, Wide<T>* sums, Broadcast<2> s) {
  cuda::broadcast_sum<T>("mul_sum", s, sums, Product(), {a, b});
}

INSTANTIATE(mul_forward)
INSTANTIATE(mul_broadcast)
INSTANTIATE(mul_sum)

}  // namespace rmt::gpu
