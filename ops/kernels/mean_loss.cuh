// mean_loss.h on a GPU. At most 1024 blocks of threads, thread i takes the packs i, i + all
// threads, ...; one more block adds the blocks' sums. A pack of 16 bytes of x is added up in
// Wide<T>, all else in double.
#pragma once
#include <algorithm>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "core/storage.h"

namespace rmt::cuda {

template <int N, class F, class T, class... X>
__global__ void __launch_bounds__(kThreads)
    loss_blocks_kernel(F f, double* sums, int64_t n, const T* x, const X*... others) {
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x,
                threads = int64_t(gridDim.x) * kThreads, packs = n / N;
  double total = 0;
#pragma unroll 4
  for (int64_t i = thread; i < packs; i += threads) {
    Wide<T> few = 0;
    few += Values<Wide<T>, N>::map(f, load<N>(x + i * N), load<N>(others + i * N)...);
    total += double(few);
  }
  if (const int64_t i = packs * N + thread; i < n) total += double(f(Wide<T>(x[i]), others[i]...));
  total = block_sum(total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// f(i) is a double.
template <class F>
__global__ void __launch_bounds__(kThreads) loss_of_numbers_kernel(F f, double* sums, int64_t n) {
  double total = 0;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * kThreads)
    total += f(i);
  total = block_sum(total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

template <class W>
__global__ void __launch_bounds__(kThreads)
    loss_mean_kernel(const double* sums, W* y, int blocks, double normaliser) {
  double total = 0;
  for (int i = int(threadIdx.x); i < blocks; i += kThreads) total += sums[i];
  total = block_sum(total);
  if (threadIdx.x == 0) *y = W(total / normaliser);
}

// *y = the sum of what run(sums, blocks) writes into sums (blocks), divided by normaliser.
template <class W, class F>
void add_blocks(W* y, int64_t n, int64_t per_thread, double normaliser, F run) {
  const int64_t blocks = std::clamp<int64_t>(n / (per_thread * kThreads), 1, 1024);
  Storage storage(size_t(blocks) * sizeof(double), Device::cuda);
  double* sums = static_cast<double*>(storage.data());
  run(sums, dim3(unsigned(blocks)));
  launch("loss_mean", loss_mean_kernel<W>, dim3(1), dim3(kThreads), 0, sums, y, int(blocks),
         normaliser);
}

// y = 1 / normaliser sum_i f(x_i, others_i, ...). f takes and returns Wide<T>.
template <class F, class T, class... X>
void sum_loss(const char* name, F f, Wide<T>* y, int64_t n, double normaliser, const T* x,
              const X*... others) {
  constexpr int N = 16 / int(sizeof(T));
  add_blocks(y, n, 8 * N, normaliser, [&](double* sums, dim3 blocks) {
    launch(name,
           aligned(x, others...) ? loss_blocks_kernel<N, F, T, X...>
                                 : loss_blocks_kernel<1, F, T, X...>,
           blocks, dim3(kThreads), 0, f, sums, n, x, others...);
  });
}

template <class F, class T>
void mean_loss(const char* name, F f, const T* x, const Wide<T>* t, Wide<T>* y, int64_t n) {
  sum_loss(name, f, y, n, double(n), x, t);
}

// y = 1 / normaliser sum_i f(i), f(i) a double.
template <class F, class W>
void sum_of_numbers(const char* name, F f, W* y, int64_t n, double normaliser) {
  add_blocks(y, n, 8, normaliser, [&](double* sums, dim3 blocks) {
    launch(name, loss_of_numbers_kernel<F>, blocks, dim3(kThreads), 0, f, sums, n);
  });
}

}  // namespace rmt::cuda
