// How one row is normalized on the GPU: for layer_norm.cu and residual_layer_norm.cu.
#pragma once
#include "core/cuda/math.cuh"
#include "core/cuda/rows.cuh"

namespace rmt::gpu {

// y = z w + bias of the row that `row` holds; mean and rstd get one number of it each. The variance
// is that of x - mean: E[x^2] - E[x]^2 would cancel.
template <class T, int N, int P>
__device__ __forceinline__ void normalize_row(const cuda::Lanes& lanes,
                                              const cuda::Row<T, N, P>& row, const Wide<T>* w,
                                              const Wide<T>* bias, T* y, Wide<T>* mean,
                                              Wide<T>* rstd, int C, double eps) {
  using W = Wide<T>;
  W sum = 0, squares = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const cuda::Values<W, N> v = row.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) sum += v.at[n];
  });
  const W m = lanes.sum(sum) / W(C);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const cuda::Values<W, N> v = row.at(p, c);
#pragma unroll
    for (int n = 0; n < N; ++n) squares += (v.at[n] - m) * (v.at[n] - m);
  });
  const W k = 1 / cuda::square_root(lanes.sum(squares) / W(C) + W(eps));
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    cuda::Values<W, N> v = row.at(p, c);
    const cuda::Values<W, N> weight = cuda::load<N>(w + c), b = cuda::load<N>(bias + c);
#pragma unroll
    for (int n = 0; n < N; ++n) v.at[n] = (v.at[n] - m) * k * weight.at[n] + b.at[n];
    cuda::store<N>(y + lanes.row * C + c, v);
  });
  if (lanes.leads()) mean[lanes.row] = m, rstd[lanes.row] = k;
}

}  // namespace rmt::gpu
