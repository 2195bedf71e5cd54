// smooth_l1.cpp's formulas, a thread to each number of x: a row has four.
#include "ops/kernels/mean_loss.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

// Of number i of x (N, C): its loss, and the derivative of that.
template <class T>
struct LossOfNumber {
  using W = Wide<T>;
  const T* x;
  const W *t, *w;
  int64_t C;
  W beta;
  __device__ W weight(int64_t i) const { return w ? w[i / C] : W(1); }
  __device__ double operator()(int64_t i) const {
    const W d = W(x[i]) - t[i], distance = d < 0 ? -d : d;
    return double(weight(i) * (distance < beta ? d * d / (2 * beta) : distance - beta / 2));
  }
  __device__ W slope(int64_t i) const {
    const W d = W(x[i]) - t[i], distance = d < 0 ? -d : d;
    return weight(i) * (distance < beta ? d / beta : d > 0 ? W(1) : d < 0 ? W(-1) : W(0));
  }
};

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class T>
__global__ void __launch_bounds__(kThreads)
    smooth_l1_backward_kernel(LossOfNumber<T> loss, const Wide<T>* dy, T* dx, int64_t n,
                              double normaliser) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) dx[i] = T(Wide<T>(double(*dy) / normaliser) * loss.slope(i));
}

}  // namespace

template <class T>
void smooth_l1_forward(const T* x, const Wide<T>* t, const Wide<T>* w, Wide<T>* y, int64_t N,
                       int64_t C, double beta, double normaliser) {
  cuda::sum_of_numbers("smooth_l1_forward", LossOfNumber<T>{x, t, w, C, Wide<T>(beta)}, y, N * C,
                       normaliser);
}

template <class T>
void smooth_l1_backward(const T* x, const Wide<T>* t, const Wide<T>* w, const Wide<T>* dy, T* dx,
                        int64_t N, int64_t C, double beta, double normaliser) {
  if (N * C == 0) return;
  cuda::launch("smooth_l1_backward", smooth_l1_backward_kernel<T>,
               dim3(unsigned(cuda::blocks_for(N * C))), dim3(kThreads), 0,
               LossOfNumber<T>{x, t, w, C, Wide<T>(beta)}, dy, dx, N * C, normaliser);
}

INSTANTIATE(smooth_l1_forward)
INSTANTIATE(smooth_l1_backward)

}  // namespace rmt::gpu
