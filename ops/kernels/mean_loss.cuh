// mean_loss.h on a GPU. At most 1024 blocks of threads, thread i takes the packs i, i + all
// threads, ...; one more block adds the blocks' sums. A pack of 16 bytes of x is added up in
// Wide<T>, all else in double.
#pragma once
#include <algorithm>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "core/storage.h"

namespace rmt::cuda {

template <int N, class F, class T>
__global__ void __launch_bounds__(kThreads)
    loss_blocks_kernel(F f, const T* x, const Wide<T>* t, double* sums, int64_t n) {
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x,
                threads = int64_t(gridDim.x) * kThreads, packs = n / N;
  double total = 0;
#pragma unroll 4
  for (int64_t i = thread; i < packs; i += threads) {
    Wide<T> few = 0;
    few += Values<Wide<T>, N>::map(f, load<N>(x + i * N), load<N>(t + i * N));
    total += double(few);
  }
  if (const int64_t i = packs * N + thread; i < n) total += double(f(Wide<T>(x[i]), t[i]));
  total = block_sum(total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

template <class W>
__global__ void __launch_bounds__(kThreads)
    loss_mean_kernel(const double* sums, W* y, int blocks, int64_t n) {
  double total = 0;
  for (int i = int(threadIdx.x); i < blocks; i += kThreads) total += sums[i];
  total = block_sum(total);
  if (threadIdx.x == 0) *y = W(total / double(n));
}

// f takes and returns Wide<T>.
template <class F, class T>
void mean_loss(const char* name, F f, const T* x, const Wide<T>* t, Wide<T>* y, int64_t n) {
  constexpr int N = 16 / int(sizeof(T));
  const int64_t blocks = std::clamp<int64_t>(n / (8 * N * kThreads), 1, 1024);
  Storage storage(size_t(blocks) * sizeof(double), Device::cuda);
  double* sums = static_cast<double*>(storage.data());
  launch(name, aligned(x, t) ? loss_blocks_kernel<N, F, T> : loss_blocks_kernel<1, F, T>,
         dim3(unsigned(blocks)), dim3(kThreads), 0, f, x, t, sums, n);
  launch("loss_mean", loss_mean_kernel<Wide<T>>, dim3(1), dim3(kThreads), 0, sums, y, int(blocks),
         n);
}

}  // namespace rmt::cuda
