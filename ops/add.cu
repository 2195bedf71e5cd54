// add.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/broadcast.cuh"

namespace rmt::gpu {
namespace {

struct Sum {
  template <class W>
  __device__ W operator()(W a, W b) const {
    return a + b;
  }
};

struct Same {
  template <class W>
  __device__ W operator()(W dy) const {
    return dy;
  }
};

}  // namespace

template <class T>
void add_forward(const T* a, const T* b, T* y, int64_t n) {
  cuda::map("add_forward", Sum(), y, n, a, b);
}

template <class T>
void add_broadcast(const T* a, const T* b, T* y, Broadcast<2> s) {
  cuda::broadcast_map("add_broadcast", s, y, Sum(), {a, b});
}

template <class T>
void add_sum(const T* dy, Wide<T>* sums, Broadcast<1> s) {
  cuda::broadcast_sum<T>("add_sum", s, sums, Same(), {dy});
}

INSTANTIATE(add_forward)
INSTANTIATE(add_broadcast)
INSTANTIATE(add_sum)

}  // namespace rmt::gpu
