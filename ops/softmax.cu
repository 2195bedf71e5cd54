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
  const auto lanes = cuda::Lanes::of_block(rows, M, shift);
  const cuda::Row<T, N, P> row(x + lanes.row * M, lanes);
  W most = W(-INFINITY), total = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) { most = max(most, row.at(p, c)); });
  most = lanes.max(most);
  cuda::for_packs<N, P>(lanes,
                        [&](int p, int c) { total += cuda::exp_for<T>(row.at(p, c) - most); });
  const W scale = 1 / lanes.sum(total);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    cuda::store<N>(y + lanes.row * M + c, cuda::exp_for<T>(row.at(p, c) - most) * scale);
  });
}

template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(const T* y, const T* dy, T* dx, int64_t rows, int M, int shift) {
  using W = Wide<T>;
  const auto lanes = cuda::Lanes::of_block(rows, M, shift);
  const cuda::Row<T, N, P> row(y + lanes.row * M, lanes), upstream(dy + lanes.row * M, lanes);
  W dot = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) { dot += row.at(p, c) * upstream.at(p, c); });
  dot = lanes.sum(dot);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    cuda::store<N>(dx + lanes.row * M + c, row.at(p, c) * (upstream.at(p, c) - dot));
  });
}

}  // namespace

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t M) {
  if (rows == 0) return;
  cuda::with_row_layout<T>(M, cuda::aligned(x, y), 4, [&](auto N, auto P, int shift) {
    cuda::launch_rows("softmax_forward", softmax_forward_kernel<T, N, P>, rows, shift, x, y, rows,
                      M, shift);
  });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t M) {
  if (rows == 0) return;
  cuda::with_row_layout<T>(M, cuda::aligned(y, dy, dx), 4, [&](auto N, auto P, int shift) {
    cuda::launch_rows("softmax_backward", softmax_backward_kernel<T, N, P>, rows, shift, y, dy, dx,
                      rows, M, shift);
  });
}

INSTANTIATE(softmax_forward)
INSTANTIATE(softmax_backward)

}  // namespace rmt::gpu
