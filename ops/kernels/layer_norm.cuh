// How a row is normalised on the GPU, for layer_norm.cu and residual_layer_norm.cu. On the CPU:
// residual_layer_norm.h.
#pragma once
#include "core/cuda/math.cuh"
#include "core/cuda/rows.cuh"

namespace rmt::gpu {

// y = (x - mean) rstd w + bias of the row x; means and rstds get one number of it each. The
// variance is that of x - mean, for E[x^2] - E[x]^2 would cancel.
template <class T, int N, int P>
__device__ __forceinline__ void normalize_row(const cuda::Lanes& lanes, const cuda::Row<T, N, P>& x,
                                              const Wide<T>* w, const Wide<T>* bias, T* y,
                                              Wide<T>* means, Wide<T>* rstds, int C, double eps) {
  using W = Wide<T>;
  using V = cuda::Values<W, N>;
  W total = 0, squares = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) { total += x.at(p, c); });
  const W mean = lanes.sum(total) / W(C);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) { squares += square(x.at(p, c) - mean); });
  const W rstd = 1 / cuda::square_root(lanes.sum(squares) / W(C) + W(eps));
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    const V w_c = cuda::load<N>(w + c), bias_c = cuda::load<N>(bias + c);
    cuda::store<N>(y + lanes.row * C + c, (x.at(p, c) - mean) * rstd * w_c + bias_c);
  });
  if (lanes.leads()) {
    means[lanes.row] = mean;
    rstds[lanes.row] = rstd;
  }
}

}  // namespace rmt::gpu
