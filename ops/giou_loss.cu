// giou_loss.cpp's formulas, a thread to each box.
#include "ops/kernels/giou.h"
#include "ops/kernels/mean_loss.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

template <class T>
struct LossOfBox {
  const T* deltas;
  const Wide<T>*boxes, *targets;
  BoxStds stds;
  __device__ Giou of(int64_t i) const {
    return Giou(deltas + 4 * i, boxes + 4 * i, targets + 4 * i, stds);
  }
  __device__ double operator()(int64_t i) const { return of(i).loss; }
};

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class T>
__global__ void __launch_bounds__(kThreads)
    giou_loss_backward_kernel(LossOfBox<T> loss, const Wide<T>* dy, T* dx, int64_t N,
                              double normaliser) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= N) return;
  const Giou giou = loss.of(i);
  const double scale = double(*dy) / normaliser;
#pragma unroll
  for (int k = 0; k < 4; ++k) dx[4 * i + k] = T(Wide<T>(scale * giou.slopes[k]));
}

}  // namespace

template <class T>
void giou_loss_forward(const T* deltas, const Wide<T>* boxes, const Wide<T>* targets, Wide<T>* y,
                       int64_t N, const BoxStds& stds, double normaliser) {
  cuda::sum_of_numbers("giou_loss_forward", LossOfBox<T>{deltas, boxes, targets, stds}, y, N,
                       normaliser);
}

template <class T>
void giou_loss_backward(const T* deltas, const Wide<T>* boxes, const Wide<T>* targets,
                        const Wide<T>* dy, T* dx, int64_t N, const BoxStds& stds,
                        double normaliser) {
  if (N == 0) return;
  cuda::launch("giou_loss_backward", giou_loss_backward_kernel<T>,
               dim3(unsigned(cuda::blocks_for(N))), dim3(kThreads), 0,
               LossOfBox<T>{deltas, boxes, targets, stds}, dy, dx, N, normaliser);
}

INSTANTIATE(giou_loss_forward)
INSTANTIATE(giou_loss_backward)

}  // namespace rmt::gpu
