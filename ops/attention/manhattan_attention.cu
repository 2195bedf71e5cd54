// The CUDA kernels of manhattan_attention for any type and shape, and the choice between them and
// those for tensor cores (tensor_cores.cuh), which take bf16 in the shapes of RMT. A group of
// threads owns N rows of a unit's scores and walks over their columns (tiles.cuh); softmax is
// online, so no row of scores is ever kept whole (ops/attention/README.md, "Online softmax").
#include <type_traits>

#include "core/storage.h"
#include "ops/attention/tensor_cores.cuh"
#include "ops/attention/tiles.cuh"

namespace rmt::gpu {
namespace {

// y. A thread has 4 queries and some channels of each.
template <class T, int N, int C>
__global__ void __launch_bounds__(TileGroup<T, N, C>::kBlock, TileGroup<T, N, C>::kBlocks)
    forward_kernel(Attention<T> a, T* y) {
  using G = TileGroup<T, N, C>;
  using W = Wide<T>;
  DYNAMIC_SHARED(W, shared);
  const G g(a, shared, 3);
  W *tq = g.tile(0), *tk = g.tile(1), *tv = g.tile(2);
  PerRow<W> most, sum = {}, keep;
  for (W& m : most) m = W(-INFINITY);
  typename G::Sums out = {};
  for (int j0 = 0; j0 < g.n; j0 += N) {
    g.load(a.v, a.v_stride, tv, j0, g.piece * C, false, 1);
    Patch<W> s = {};
    for (int piece = 0; piece < g.pieces; ++piece) {
      if (piece > 0) __syncthreads();
      if (j0 == 0 || g.pieces > 1)
        g.load(a.q, a.qk_stride, tq, g.i0, piece * C, true, g.scale() * W(kLog2e));
      g.load(a.k, a.qk_stride, tk, j0, piece * C, true, 1);
      __syncthreads();
      g.multiply_transposed(s, tq, tk);
    }
    g.add_decay(s, j0);
    g.online_softmax_step(s, most, keep);
    unrolled<4>([&](int r) {
      sum[r] = sum[r] * keep[r] + (s[r][0] + s[r][1] + s[r][2] + s[r][3]);
      unrolled<2 * G::kPairs>([&](int c) { out[r][c] *= keep[r]; });
    });
    g.multiply_decay(s, j0);
    g.multiply(s, tv, out);
  }
  for (W& x : sum) x = 1 / cuda::warp_sum<G::kSide>(x);
  g.store(y, a.y_stride, out, sum, false, false);
}

// What the gradients need of each row of scores, to make P again without softmax and dS without
// another pass: P_ij = 2^(s_ij - most_i) scale_i, and dot_i = sum_j P_ij dP_ij. (units, n) each.
template <class W>
struct RowSums {
  W *most, *scale, *dot;
};

// s = S log2(e) and dp = dA between the positions i0 ... of one side and j0 ... of the other: rows
// from (q, dy) and columns from (k, v), or the reverse. Tiles 2 and 3 are left with our own
// channels of the columns' two tensors. `first`: the rows' tiles are not there yet.
template <bool rows_are_queries, class T, int N, int C>
__device__ __forceinline__ void backward_products(const TileGroup<T, N, C>& g,
                                                  const Attention<T>& a, int j0, bool first,
                                                  Patch<Wide<T>>& s, Patch<Wide<T>>& dp) {
  using W = Wide<T>;
  const W q_factor = g.scale() * W(kLog2e);
  const T *row_rotated = rows_are_queries ? a.q : a.k, *row_plain = rows_are_queries ? a.dy : a.v;
  const T* column_rotated = rows_are_queries ? a.k : a.q;
  const T* column_plain = rows_are_queries ? a.v : a.dy;
  const int64_t row_stride = rows_are_queries ? a.y_stride : a.v_stride;
  const int64_t column_stride = rows_are_queries ? a.v_stride : a.y_stride;
  const auto load_rows = [&](int piece) {
    g.load(row_rotated, a.qk_stride, g.tile(0), g.i0, piece * C, true,
           rows_are_queries ? q_factor : W(1));
    g.load(row_plain, row_stride, g.tile(1), g.i0, piece * C, false, 1);
  };
  const auto load_columns = [&](int piece) {
    g.load(column_rotated, a.qk_stride, g.tile(2), j0, piece * C, true,
           rows_are_queries ? W(1) : q_factor);
    g.load(column_plain, column_stride, g.tile(3), j0, piece * C, false, 1);
  };
  for_patch([&](int r, int u) { s[r][u] = dp[r][u] = 0; });
  // The pieces in the same order in every kernel: the same bits.
  for (int piece = 0; piece < g.pieces; ++piece) {
    if (piece > 0) __syncthreads();
    if (first || g.pieces > 1) load_rows(piece);
    load_columns(piece);
    __syncthreads();
    g.multiply_transposed(s, g.tile(0), g.tile(2));
    g.multiply_transposed(dp, g.tile(1), g.tile(3));
  }
  if (g.piece + 1 < g.pieces) {  // all of the block do, or none
    __syncthreads();
    load_columns(g.piece);  // a barrier follows before they are read
  }
}

// The sums over each row of scores, then dq. A thread has 4 queries and some channels of each.
template <class T, int N, int C>
__global__ void __launch_bounds__(TileGroup<T, N, C>::kBlock, TileGroup<T, N, C>::kBlocks)
    backward_queries_kernel(Attention<T> a, RowSums<Wide<T>> rows, T* dq, bool add) {
  using G = TileGroup<T, N, C>;
  using W = Wide<T>;
  DYNAMIC_SHARED(W, shared);
  const G g(a, shared, 4);
  Patch<W> s, dp;
  PerRow<W> most, keep, sum = {}, dot = {};
  for (W& m : most) m = W(-INFINITY);
  for (int j0 = 0; j0 < g.n; j0 += N) {
    backward_products<true>(g, a, j0, j0 == 0, s, dp);
    g.add_decay(s, j0);
    g.multiply_decay(dp, j0);
    g.online_softmax_step(s, most, keep);
    unrolled<4>([&](int r) {
      sum[r] *= keep[r];
      dot[r] *= keep[r];
      unrolled<4>([&](int u) {
        sum[r] += s[r][u];
        dot[r] += s[r][u] * dp[r][u];
      });
    });
    __syncthreads();  // tiles may be written again
  }
  for (int r = 0; r < 4; ++r) {
    sum[r] = 1 / cuda::warp_sum<G::kSide>(sum[r]);
    dot[r] = sum[r] * cuda::warp_sum<G::kSide>(dot[r]);
    const int i = g.i0 + g.row + r * G::kSide;
    if (g.number < g.units && g.piece == 0 && g.column == 0 && i < g.n) {
      const int64_t at = g.number * g.n + i;
      rows.most[at] = most[r];
      rows.scale[at] = sum[r];
      rows.dot[at] = dot[r];
    }
  }
  typename G::Sums out = {};
  for (int j0 = 0; j0 < g.n; j0 += N) {
    backward_products<true>(g, a, j0, false, s, dp);
    g.add_decay(s, j0);
    g.multiply_decay(dp, j0);
    for_patch([&](int r, int u) {  // s = dS = P (dP - sum_j P dP)
      s[r][u] = power_of_2(s[r][u] - most[r]) * sum[r] * (dp[r][u] - dot[r]);
    });
    g.multiply(s, g.tile(2), out);
  }
  const W factor[4] = {g.scale(), g.scale(), g.scale(), g.scale()};
  g.store(dq, a.qk_stride, out, factor, true, add);
}

// dk and dv, from scores whose rows are keys. A thread has 4 keys and some channels of each.
template <class T, int N, int C>
__global__ void __launch_bounds__(TileGroup<T, N, C>::kBlock, TileGroup<T, N, C>::kBlocks)
    backward_keys_kernel(Attention<T> a, RowSums<Wide<T>> rows, AttentionGradients<T> to) {
  using G = TileGroup<T, N, C>;
  using W = Wide<T>;
  DYNAMIC_SHARED(W, shared);
  const G g(a, shared, 4);
  Patch<W> s, ds;
  typename G::Sums out_k = {}, out_v = {};
  for (int j0 = 0; j0 < g.n; j0 += N) {
    backward_products<false>(g, a, j0, j0 == 0, s, ds);
    g.add_decay(s, j0);
    g.multiply_decay(ds, j0);
    unrolled<4>([&](int u) {
      const int j = min(j0 + g.column + u * G::kSide, g.n - 1);
      const int64_t at = min(g.number, g.units - 1) * g.n + j;
      const W most = rows.most[at], scale = rows.scale[at], dot = rows.dot[at];
      unrolled<4>([&](int r) {
        s[r][u] = power_of_2(s[r][u] - most) * scale;
        ds[r][u] = s[r][u] * (ds[r][u] - dot);
      });
    });
    g.multiply(ds, g.tile(2), out_k);
    g.multiply_decay(s, j0);
    g.multiply(s, g.tile(3), out_v);
  }
  // The tile of q holds D^-1/2 log2(e) q'.
  const W k_factor = W(1 / kLog2e);
  const W k_factors[4] = {k_factor, k_factor, k_factor, k_factor}, one[4] = {1, 1, 1, 1};
  g.store(to.dk, a.qk_stride, out_k, k_factors, true, to.add_qk);
  g.store(to.dv, a.v_stride, out_v, one, false, to.add_v);
}

// f(N, C) as compile-time constants for the shape: short lines in small tiles, of which a thread
// has so many channels that f64 has registers for 16 only.
template <class T, class F>
void for_tiles(const Lines& lines, const F& f) {
  std::integral_constant<int, 16> c16;
  std::integral_constant<int, 32> c32;
  if (lines.n() > 16)
    lines.D <= 16 ? f(c32, c16) : f(c32, c32);
  else if constexpr (std::is_same_v<T, double>)
    f(c16, c16);
  else
    lines.D <= 16 ? f(c16, c16) : f(c16, c32);
}

template <class G, class... P, class... A>
void launch_groups(const char* name, void (*kernel)(P...), int tiles, const Lines& lines, int N,
                   int C, const A&... args) {
  const int64_t blocks = cuda::blocks_for(lines.units(), G::kGroups) *
                         cuda::blocks_for(lines.n(), N) * cuda::blocks_for(lines.D, C);
  cuda::launch(name, kernel, dim3(unsigned(blocks)), dim3(G::kBlock), G::bytes(tiles), args...);
}

}  // namespace

// post_multiply_normalised needs no kernels: it is log_additive (ops/attention/README.md, "The
// three modes").
template <class T>
void attention_forward(const Attention<T>& a, T* y) {
  if constexpr (std::is_same_v<T, bf16>)
    if (tensor_cores::serve(a, y)) return tensor_cores::forward(a, y);
  for_tiles<T>(a.lines, [&](auto N, auto C) {
    launch_groups<TileGroup<T, N, C>>("manhattan_attention_forward", forward_kernel<T, N, C>, 3,
                                      a.lines, N, C, a, y);
  });
}

template <class T>
void attention_backward(const Attention<T>& a, const AttentionGradients<T>& to) {
  using W = Wide<T>;
  const Lines& lines = a.lines;
  if constexpr (std::is_same_v<T, bf16>)
    if (tensor_cores::serve(a, to.dq, to.dk, to.dv)) return tensor_cores::backward(a, to);
  const int64_t count = lines.units() * lines.n();
  // The first kernel writes the rows' sums while it makes dq, the second reads them for dk and dv.
  const Storage sums(3 * count * sizeof(W), Device::cuda);
  W* first = static_cast<W*>(sums.data());
  const RowSums<W> rows{.most = first, .scale = first + count, .dot = first + 2 * count};
  for_tiles<T>(lines, [&](auto N, auto C) {
    using G = TileGroup<T, N, C>;
    launch_groups<G>("manhattan_attention_backward_queries", backward_queries_kernel<T, N, C>, 4,
                     lines, N, C, a, rows, to.dq, to.add_qk);
    launch_groups<G>("manhattan_attention_backward_keys", backward_keys_kernel<T, N, C>, 4, lines,
                     N, C, a, rows, to);
  });
}

// The op's calls: tensors without gaps.
template <class T>
void manhattan_attention_forward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                 const Wide<T>* rotary, T* y, const Lines& lines) {
  const int64_t C = lines.heads * lines.D;
  attention_forward<T>({q, k, v, nullptr, decay, rotary, lines, C, C, C}, y);
}

template <class T>
void manhattan_attention_backward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                  const Wide<T>* rotary, const T* dy, T* dq, T* dk, T* dv,
                                  const Lines& lines) {
  const int64_t C = lines.heads * lines.D;
  attention_backward<T>({q, k, v, dy, decay, rotary, lines, C, C, C}, {dq, dk, dv});
}

INSTANTIATE(attention_forward)
INSTANTIATE(attention_backward)
INSTANTIATE(manhattan_attention_forward)
INSTANTIATE(manhattan_attention_backward)

}  // namespace rmt::gpu
