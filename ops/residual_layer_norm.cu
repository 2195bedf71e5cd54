// residual_layer_norm.cpp's formulas. A row lies in the registers of 4 to 32 lanes of a warp
// (core/cuda/rows.cuh): x and f are read once, both results written once.
#include "ops/kernels/layer_norm.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

// gamma and s may be null: 1. R rows are one sample. What is normalized is the sum as it is stored,
// rounded to T.
template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads)
    residual_layer_norm_kernel(const T* x, const T* f, const Wide<T>* gamma, const Wide<T>* s,
                               const Wide<T>* w, const Wide<T>* bias, T* sum, T* normed,
                               Wide<T>* mean, Wide<T>* rstd, int64_t rows, int64_t R, int C,
                               int shift, double eps) {
  using W = Wide<T>;
  using V = cuda::Values<W, N>;
  const auto lanes = cuda::Lanes::of_block(rows, C, shift);
  const cuda::Row<T, N, P> shortcut(x + lanes.row * C, lanes), branch(f + lanes.row * C, lanes);
  T* const out = sum + lanes.row * C;
  cuda::Row<T, N, P> row(out);
  const W scale = s && lanes.C ? s[unsigned(lanes.row) / unsigned(R)] : W(1);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    V f_c = branch.at(p, c);
    if (gamma) f_c *= cuda::load<N>(gamma + c);
    row.write(out, p, c, shortcut.at(p, c) + scale * f_c);
  });
  normalize_row(lanes, row, w, bias, normed, mean, rstd, C, eps);
}

}  // namespace

template <class T>
void residual_layer_norm_forward(const T* x, const T* f, const Wide<T>* gamma, const Wide<T>* s,
                                 const Wide<T>* w, const Wide<T>* bias, T* sum, T* normed,
                                 Wide<T>* mean, Wide<T>* rstd, int64_t B, int64_t R, int64_t C,
                                 double eps) {
  const int64_t rows = B * R;
  if (rows == 0) return;
  // So that row / R is a division of 32 bits.
  CHECK(rows < int64_t(1) << 32, "residual_layer_norm: ", rows, " rows, expected fewer than 2^32");
  cuda::with_row_layout<T>(
      C, cuda::aligned(x, f, gamma, w, bias, sum, normed), 4, [&](auto N, auto P, int shift) {
        cuda::launch_rows("residual_layer_norm", residual_layer_norm_kernel<T, N, P>, rows, shift,
                          x, f, gamma, s, w, bias, sum, normed, mean, rstd, rows, R, C, shift, eps);
      });
}

INSTANTIATE(residual_layer_norm_forward)

}  // namespace rmt::gpu
