// softmax.cpp's formulas. A row lies in the registers of 4 to 32 lanes of a warp
// (core/cuda/rows.cuh).
#include <cmath>

#include "core/cuda/math.cuh"
#include "core/cuda/rows.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads, 2)
    softmax_forward_kernel(const T* x, T* y, int64_t rows, int M, int shift) {
  using W = Wide<T>;
  const cuda::Lanes lanes(int64_t(blockIdx.x) * (kThreads >> shift), rows, M, shift);
  const cuda::Row<T, N, P> row(x + lanes.row * M, lanes);
  W most = W(-INFINITY), sum = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const cuda::Values<W, N> v = row.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) most = cuda::Max()(most, v.at[n]);
  });
  most = lanes.max(most);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const cuda::Values<W, N> v = row.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) sum += cuda::exp_for<T>(v.at[n] - most);
  });
  const W scale = 1 / lanes.sum(sum);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    cuda::Values<W, N> v = row.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) v.at[n] = cuda::exp_for<T>(v.at[n] - most) * scale;
    cuda::store<N>(y + lanes.row * M + c, v);
  });
}

template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(const T* y, const T* dy, T* dx, int64_t rows, int M, int shift) {
  using W = Wide<T>;
  const cuda::Lanes lanes(int64_t(blockIdx.x) * (kThreads >> shift), rows, M, shift);
  const cuda::Row<T, N, P> row(y + lanes.row * M, lanes), upstream(dy + lanes.row * M, lanes);
  W dot = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const cuda::Values<W, N> v = row.at(p, c), g = upstream.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) dot += v.at[n] * g.at[n];
  });
  dot = lanes.sum(dot);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const cuda::Values<W, N> v = row.at(p, c);
    cuda::Values<W, N> g = upstream.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) g.at[n] = v.at[n] * (g.at[n] - dot);
    cuda::store<N>(dx + lanes.row * M + c, g);
  });
}

}  // namespace

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t M) {
  if (rows == 0) return;
  cuda::with_row_layout<T>(M, cuda::aligned(x, y), 4, [&](auto N, auto P, int shift) {
    const dim3 grid(unsigned(cuda::blocks_for(rows, kThreads >> shift)));
    cuda::launch("softmax_forward", softmax_forward_kernel<T, N, P>, grid, dim3(kThreads), 0, x, y,
                 rows, M, shift);
  });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t M) {
  if (rows == 0) return;
  cuda::with_row_layout<T>(M, cuda::aligned(y, dy, dx), 4, [&](auto N, auto P, int shift) {
    const dim3 grid(unsigned(cuda::blocks_for(rows, kThreads >> shift)));
    cuda::launch("softmax_backward", softmax_backward_kernel<T, N, P>, grid, dim3(kThreads), 0, y,
                 dy, dx, rows, M, shift);
  });
}

INSTANTIATE(softmax_forward)
INSTANTIATE(softmax_backward)

}  // namespace rmt::gpu
