// sum.cpp's formula. At most 1024 blocks of threads, thread i takes the packs i, i + all threads,
// ...; one more block adds the blocks' sums. A pack of 16 bytes is added up in Wide<T>, all else in
// double, so that the error does not grow with n.
#include <algorithm>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "core/storage.h"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

template <class T, int N>
__global__ void __launch_bounds__(kThreads) sum_blocks_kernel(const T* x, double* sums, int64_t n) {
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x,
                threads = int64_t(gridDim.x) * kThreads, packs = n / N;
  double total = 0;
#pragma unroll 4
  for (int64_t i = thread; i < packs; i += threads) {
    Wide<T> few = 0;
    few += cuda::load<N>(x + i * N);
    total += double(few);
  }
  if (const int64_t i = packs * N + thread; i < n) total += double(Wide<T>(x[i]));
  total = cuda::block_sum(total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

template <class W>
__global__ void __launch_bounds__(kThreads)
    add_blocks_kernel(const double* sums, W* y, int blocks) {
  double total = 0;
  for (int i = int(threadIdx.x); i < blocks; i += kThreads) total += sums[i];
  total = cuda::block_sum(total);
  if (threadIdx.x == 0) *y = W(total);
}

template <class W>
struct Upstream {
  const W* dy;
  __device__ W operator()() const { return *dy; }
};

}  // namespace

template <class T>
void sum_forward(const T* x, Wide<T>* y, int64_t n) {
  constexpr int N = 16 / int(sizeof(T));
  const int64_t blocks = std::clamp<int64_t>(n / (8 * N * kThreads), 1, 1024);
  Storage sums(size_t(blocks) * sizeof(double), Device::cuda);
  double* s = static_cast<double*>(sums.data());
  cuda::launch("sum_blocks", cuda::aligned(x) ? sum_blocks_kernel<T, N> : sum_blocks_kernel<T, 1>,
               dim3(unsigned(blocks)), dim3(kThreads), 0, x, s, n);
  cuda::launch("add_blocks", add_blocks_kernel<Wide<T>>, dim3(1), dim3(kThreads), 0, s, y, blocks);
}

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class T>
void sum_backward(const Wide<T>* dy, T* dx, int64_t n) {
  cuda::map("sum_backward", Upstream<Wide<T>>{dy}, dx, n);
}

INSTANTIATE(sum_forward)
INSTANTIATE(sum_backward)

}  // namespace rmt::gpu
