// rotate.cpp's formulas, a thread to each pair of channels.
#include "core/cuda/elementwise.cuh"
#include "ops/attention/gpu.cuh"

namespace rmt::gpu {
namespace {

template <class T>
__global__ void __launch_bounds__(cuda::kThreads)
    rotate_kernel(const T* x, const Wide<T>* rotary, T* y, int64_t pairs, int64_t L, int64_t C,
                  int64_t D, Wide<T> sign) {
  const int64_t pair = int64_t(blockIdx.x) * cuda::kThreads + threadIdx.x;
  if (pair >= pairs) return;
  const int64_t position = 2 * pair / C, channel = 2 * pair - position * C;
  const Wide<T>* const angle = rotary + position % L * D + channel % D;
  Wide<T> x0 = Wide<T>(x[2 * pair]), x1 = Wide<T>(x[2 * pair + 1]);
  rotate(x0, x1, angle[0], sign * angle[1]);
  y[2 * pair] = T(x0);
  y[2 * pair + 1] = T(x1);
}

}  // namespace

template <class T>
void rotate_positions(const T* x, const Wide<T>* rotary, T* y, int64_t positions, int64_t L,
                      int64_t C, int64_t D, double sign) {
  const int64_t pairs = positions * C / 2;
  cuda::launch("rotate", rotate_kernel<T>, dim3(unsigned(cuda::blocks_for(pairs))),
               dim3(cuda::kThreads), 0, x, rotary, y, pairs, L, C, D, sign);
}

INSTANTIATE(rotate_positions)

}  // namespace rmt::gpu
