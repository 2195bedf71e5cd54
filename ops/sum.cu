// sum.cpp's formula, with the sums of kernels/mean_loss.cuh.
#include "ops/kernels/mean_loss.cuh"

namespace rmt::gpu {
namespace {

struct Itself {
  template <class W>
  __device__ W operator()(W x) const {
    return x;
  }
};

template <class W>
struct Upstream {
  const W* dy;
  __device__ W operator()() const { return *dy; }
};

}  // namespace

template <class T>
void sum_forward(const T* x, Wide<T>* y, int64_t n) {
  cuda::sum_loss("sum", Itself(), y, n, 1, x);
}

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class T>
void sum_backward(const Wide<T>* dy, T* dx, int64_t n) {
  cuda::map("sum_backward", Upstream<Wide<T>>{dy}, dx, n);
}

INSTANTIATE(sum_forward)
INSTANTIATE(sum_backward)

}  // namespace rmt::gpu
