// layer_norm.cpp's formulas. A row lies in the registers of 4 to 32 lanes of a warp
// (core/cuda/rows.cuh). Backward: few blocks that stay, so that a thread, whose columns are the
// same in each of its rows, sums dw and dbias in registers: one pass over x and dy gives all three
// gradients.
#include "core/cuda/columns.cuh"
#include "core/cuda/device.h"
#include "ops/kernels/layer_norm.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads)
    layer_norm_forward_kernel(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y,
                              Wide<T>* mean, Wide<T>* rstd, int64_t rows, int C, int shift,
                              double eps) {
  const auto lanes = cuda::Lanes::of_block(rows, C, shift);
  normalize_row(lanes, cuda::Row<T, N, P>(x + lanes.row * C, lanes), w, bias, y, mean, rstd, C,
                eps);
}

// What backward reads of a row.
template <class T, int N, int P>
struct Inputs {
  using W = Wide<T>;
  cuda::Lanes lanes;
  cuda::Row<T, N, P> x, dy;
  W mean, rstd;
  __device__ Inputs(const cuda::Lanes& l, const T* all_x, const T* all_dy, const W* means,
                    const W* rstds, int C)
      : lanes(l),
        x(all_x + l.row * C, l),
        dy(all_dy + l.row * C, l),
        mean(l.C ? means[l.row] : W(0)),
        rstd(l.C ? rstds[l.row] : W(0)) {}
};

// What backward adds to dx, and writes beside it. R rows are one sample.
template <class T>
struct Residual {
  const T* more;     // to be added to dx, or null
  const Wide<T>* s;  // (B)
  T* df;             // s_b dx, or null
  unsigned R;
};

// dx + more of one row, as it is stored, and s_b times that; add(p, dy z, dy) gets what its packs
// give to dw and dbias. dx may be null.
template <class T, int N, int P, class F>
__device__ __forceinline__ void backward_row(const Inputs<T, N, P>& in, const Wide<T>* w,
                                             const Residual<T>& beside, T* dx, int C, F add) {
  using W = Wide<T>;
  using V = cuda::Values<W, N>;
  W sum_g = 0, sum_gz = 0;
  cuda::for_packs<N, P>(in.lanes, [&](int p, int c) {
    const V w_c = cuda::load<N>(w + c), dy = in.dy.at(p, c);
    const V dy_z = dy * ((in.x.at(p, c) - in.mean) * in.rstd);
    sum_g += dy * w_c;
    sum_gz += dy_z * w_c;
    add(p, dy_z, dy);
  });
  if (!dx) return;  // for all threads alike
  const W scale = beside.df && in.lanes.C ? beside.s[unsigned(in.lanes.row) / beside.R] : W(0);
  const W mean_g = in.lanes.sum(sum_g) / W(C), mean_gz = in.lanes.sum(sum_gz) / W(C);
  cuda::for_packs<N, P>(in.lanes, [&](int p, int c) {
    const V g = in.dy.at(p, c) * cuda::load<N>(w + c), z = (in.x.at(p, c) - in.mean) * in.rstd;
    V d = in.rstd * (g - mean_g - z * mean_gz);
    const int64_t at = in.lanes.row * C + c;
    if (beside.more) d += cuda::load<N>(beside.more + at);
    const auto stored = cuda::narrow<T, N>(d.at);
    *reinterpret_cast<cuda::Pack<T, N>*>(dx + at) = stored;
    if (beside.df) cuda::store<N>(beside.df + at, scale * cuda::widen(stored));
  });
}

// How many blocks the registers of a multiprocessor allow.
constexpr int blocks_on_one(int P) { return P <= 2 ? 2 : 1; }

// partial (blocks, 2, C): the sums for dw and dbias over a block's rows. The next row is on its way
// while one is worked on.
template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads, blocks_on_one(P))
    layer_norm_backward_kernel(const T* x, const Wide<T>* w, const Wide<T>* mean,
                               const Wide<T>* rstd, const T* dy, Residual<T> beside, T* dx,
                               Wide<T>* partial, int64_t rows, int C, int shift) {
  using W = Wide<T>;
  using V = cuda::Values<W, N>;
  DYNAMIC_SHARED(W, sums);  // 2 C
  V dw[P] = {}, dbias[P] = {};
  auto read = [&](int64_t first) {
    return Inputs<T, N, P>(cuda::Lanes(first, rows, C, shift), x, dy, mean, rstd, C);
  };
  const int64_t at_once = kThreads >> shift, step = gridDim.x * at_once;
  int64_t first = blockIdx.x * at_once;
  for (Inputs<T, N, P> in = read(first); first < rows; first += step) {
    const Inputs<T, N, P> next = read(first + step);
    backward_row(in, w, beside, dx, C, [&](int p, const V& dy_z, const V& dy_c) {
      dw[p] += dy_z;
      dbias[p] += dy_c;
    });
    in = next;
  }
  // Over the groups of a warp, which have the same columns; then warp after warp.
  for (int apart = 1 << shift; apart < 32; apart *= 2)
#pragma unroll
    for (int p = 0; p < P; ++p) {
      dw[p] += cuda::of_lane_apart(dw[p], apart);
      dbias[p] += cuda::of_lane_apart(dbias[p], apart);
    }
  for (int warp = 0; warp < kThreads / 32; ++warp) {
    const int lane = int(threadIdx.x) % 32;
    if (int(threadIdx.x) / 32 == warp && lane < 1 << shift)
      cuda::for_packs<N, P>(lane, 1 << shift, C, [&](int p, int c) {
        if (warp > 0) {
          dw[p] += cuda::load<N>(sums + c);
          dbias[p] += cuda::load<N>(sums + C + c);
        }
        cuda::store<N>(sums + c, dw[p]);
        cuda::store<N>(sums + C + c, dbias[p]);
      });
    __syncthreads();
  }
  for (int i = int(threadIdx.x); i < 2 * C; i += kThreads)
    partial[int64_t(blockIdx.x) * 2 * C + i] = sums[i];
}

// For rows too long for registers: dx, and in a second pass the sums.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    layer_norm_dx_kernel(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, Residual<T> beside, T* dx, int64_t rows, int C, int shift) {
  const auto lanes = cuda::Lanes::of_block(rows, C, shift);
  backward_row(Inputs<T, N, 0>(lanes, x, dy, mean, rstd, C), w, beside, dx, C,
               [](int, const auto&, const auto&) {});
}

// What a row adds to dw and dbias.
template <class T, int N>
struct ParameterSums {
  using W = Wide<T>;
  const T* x;
  const W *mean, *rstd;
  const T* dy;
  int64_t C;
  __device__ void operator()(int64_t r, int64_t c, cuda::Values<W, N> (&sums)[2]) const {
    const cuda::Values<W, N> x_c = cuda::load<N>(x + r * C + c),
                             dy_c = cuda::load<N>(dy + r * C + c);
    sums[0] += dy_c * ((x_c - mean[r]) * rstd[r]);
    sums[1] += dy_c;
  }
};

}  // namespace

template <class T>
void layer_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Wide<T>* mean,
                        Wide<T>* rstd, int64_t rows, int64_t C, double eps) {
  if (rows == 0) return;
  cuda::with_row_layout<T>(C, cuda::aligned(x, w, bias, y), 4, [&](auto N, auto P, int shift) {
    cuda::launch_rows("layer_norm_forward", layer_norm_forward_kernel<T, N, P>, rows, shift, x, w,
                      bias, y, mean, rstd, rows, C, shift, eps);
  });
}

template <class T>
void layer_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, const T* more, const Wide<T>* s, T* dx, T* df, Wide<T>* dw,
                         Wide<T>* dbias, int64_t rows, int64_t R, int64_t C) {
  using W = Wide<T>;
  // So that row / R is a division of 32 bits.
  CHECK(!df || rows < int64_t(1) << 32, "layer_norm: ", rows, " rows, expected fewer than 2^32");
  const Residual<T> beside{more, s, df, unsigned(R)};
  const cuda::Outputs<W> out{{dw, dbias}, C};
  cuda::with_row_layout<T>(
      C, cuda::aligned(x, w, dy, more, dx, df), 3, [&](auto N, auto P, int shift) {
        if constexpr (P > 0) {
          const int64_t all = std::max<int64_t>(1, cuda::blocks_for(rows, kThreads >> shift));
          const int64_t blocks =
              std::min<int64_t>(all, int64_t(cuda::info().multiprocessors) * blocks_on_one(P));
          const cuda::Partial<W> partial(blocks, 2 * C);
          cuda::launch("layer_norm_backward", layer_norm_backward_kernel<T, N, P>,
                       dim3(unsigned(blocks)), dim3(kThreads), size_t(2 * C) * sizeof(W), x, w,
                       mean, rstd, dy, beside, dx, partial.at(), rows, C, shift);
          cuda::add_parts<W>(partial, {}, out);
        } else {
          if (dx && rows)
            cuda::launch_rows("layer_norm_dx", layer_norm_dx_kernel<T, N>, rows, shift, x, w, mean,
                              rstd, dy, beside, dx, rows, C, shift);
          cuda::column_sums<2, 1>("layer_norm_dw", ParameterSums<T, 1>{x, mean, rstd, dy, C}, out,
                                  rows, C);
        }
      });
}

INSTANTIATE(layer_norm_forward)
INSTANTIATE(layer_norm_backward)

}  // namespace rmt::gpu
