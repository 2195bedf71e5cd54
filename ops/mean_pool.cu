// mean_pool.cpp's formulas. Threads (x, y) of a block: a group of N columns of one sample, every
// blockDim.y-th position of it. Forward sums in double.
#include "core/cuda/columns.cuh"

namespace rmt::gpu {
namespace {

using cuda::kColumnThreads;

template <class T, int N>
__global__ void __launch_bounds__(kColumnThreads)
    mean_pool_forward_kernel(const T* x, T* y, int64_t B, int64_t L, int64_t C) {
  SHARED(double, shared, N* kColumnThreads);  // [n][ty][tx]
  const int64_t column = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
    cuda::Values<double, N> sums = 0;
    if (column < C) {
#pragma unroll 4
      for (int64_t l = threadIdx.y; l < L; l += blockDim.y)
        sums += cuda::Values<double, N>(cuda::load<N>(x + (b * L + l) * C + column));
    }
    cuda::spread(shared + threadIdx.y * blockDim.x + threadIdx.x, sums);
    __syncthreads();
    if (threadIdx.y == 0 && column < C) {
      cuda::Values<Wide<T>, N> mean;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        double total = 0;
        for (unsigned i = threadIdx.x; i < blockDim.y * blockDim.x; i += blockDim.x)
          total += shared[n * kColumnThreads + i];
        mean.at[n] = Wide<T>(total / double(L));
      }
      cuda::store<N>(y + b * C + column, mean);
    }
    __syncthreads();  // shared may be written again
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kColumnThreads)
    mean_pool_backward_kernel(const T* dy, T* dx, int64_t B, int64_t L, int64_t C) {
  const int64_t column = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (column >= C) return;
  const Wide<T> scale = 1 / Wide<T>(L);
  for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
    const cuda::Values<Wide<T>, N> d = cuda::load<N>(dy + b * C + column) * scale;
    for (int64_t l = threadIdx.y; l < L; l += blockDim.y)
      cuda::store<N>(dx + (b * L + l) * C + column, d);
  }
}

template <class T>
void start(const char* name, void (*vector)(const T*, T*, int64_t, int64_t, int64_t),
           void (*scalar)(const T*, T*, int64_t, int64_t, int64_t), const T* from, T* to, int64_t B,
           int64_t L, int64_t C) {
  if (B == 0 || C == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = cuda::aligned(from, to) && C % N == 0;
  const cuda::ColumnBlocks blocks(vectors ? C / N : C);
  const dim3 grid(unsigned(blocks.tiles), unsigned(std::min<int64_t>(B, 65535)));
  cuda::launch(name, vectors ? vector : scalar, grid, dim3(blocks.tx, blocks.ty), 0, from, to, B, L,
               C);
}

}  // namespace

template <class T>
void mean_pool_forward(const T* x, T* y, int64_t B, int64_t L, int64_t C) {
  start("mean_pool_forward", mean_pool_forward_kernel<T, 16 / int(sizeof(T))>,
        mean_pool_forward_kernel<T, 1>, x, y, B, L, C);
}

template <class T>
void mean_pool_backward(const T* dy, T* dx, int64_t B, int64_t L, int64_t C) {
  start("mean_pool_backward", mean_pool_backward_kernel<T, 16 / int(sizeof(T))>,
        mean_pool_backward_kernel<T, 1>, dy, dx, B, L, C);
}

INSTANTIATE(mean_pool_forward)
INSTANTIATE(mean_pool_backward)

}  // namespace rmt::gpu
