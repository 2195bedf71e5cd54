// manhattan_attention in bf16 on tensor cores (mma.m16n8k16, core/cuda/ptx.h), for the shapes of
// RMT: heads of 16 or 32 channels, lines of up to 256 positions, rows of A that sum to 1.
//
// A block has one line and some neighbouring heads, whose units it holds whole in shared memory:
// the tiles q', k' (rotated and rounded to bf16 again), v, dy. A warp takes 16 rows of a unit's
// scores, 16 columns after another, in registers; positions are padded with zeros to a multiple of
// 16. Decay is computed from the positions. P and dS are rounded to bf16 for the products that
// follow; all sums are f32.
//
//    warp 0:  queries  0 - 15     +---------+---------+---      The lengths of RMT's lines at 224
//                                 | 16 x 16 | 16 x 16 | ...     pixels are known at compile time:
//                                 +---------+---------+---      their kernels have no loops.
//    warp 1:  queries 16 - 31     |
#pragma once
#include <algorithm>
#include <type_traits>

#include "ops/attention/tensor_core_blocks.cuh"

namespace rmt::gpu::tensor_cores {

// Blocks that a multiprocessor must have registers for.
constexpr int forward_blocks(bool map) { return map ? 3 : 4; }
constexpr int kBackwardBlocks = 2;

// P of 16 queries, unnormalised: P_ij = 2^(s_ij - most_i), most_i = 0 unless that fails. f(j, P)
// for 16 keys after another; then out = P v and sum = P 1.
template <int D, int N, bool map, class P, class F>
__device__ __forceinline__ void attend(const Warp<D, N, map>& w, const P& p,
                                       const Left (&q)[D / 16], float (&most)[2],
                                       Fragment (&out)[D / 8], Fragment& sum, const F& f) {
#pragma unroll 1
  for (bool again = false;; again = true) {
    unrolled<D / 2>([&](int e) { out[e / 4][e % 4] = 0; });
    unrolled<4>([&](int e) { sum[e] = 0; });
    w.for_columns([&](int j) {
      Fragment s[2];
      Left weights;
      w.scores(s, q, p.tk + j * p.ld, p.ld, j, most);
      w.exponentials(s, j);
      f(j, s);
      round(weights, s, w.half(j));
      multiply<D>(out, weights, p.tv + j * p.ld, p.ld);
      add_rows(sum, weights);
    });
    if (sums_are_fine(sum) || again) return;
    w.find_most(most, q, p.tk, p.ld);
  }
}

// y.
template <int D, int N, bool map>
__global__ void __launch_bounds__(32 * kMaxWarps, forward_blocks(map))
    forward_kernel(const Call call, bf16* y) {
  DYNAMIC_SHARED(bf16, shared);
  const Place<D, N, 3> p(call, shared);
  p.template load_tiles<map>();
  Warp<D, N, map> w(p.n, p.decay(), p.memory.places);
  int i0 = p.i0;
  do {
    Left q[D / 16];
    float most[2] = {0, 0};
    Fragment out[D / 8], sum;
    load_rows<D>(q, p.tq + i0 * p.ld, p.ld);
    w.set_rows(i0);
    attend(w, p, q, most, out, sum, [](int, const Fragment(&)[2]) {});
    p.store(y, call.y_stride, out, i0, ptx::reciprocal_approx(sum[0]),
            ptx::reciprocal_approx(sum[2]), false, p.tq + i0 * p.ld);
  } while (!N && (i0 += p.warps * 16) < p.n);
}

// x_r = -sum_c out_rc dy_rc for rows g and g + 8. dy as a left factor is held as out is, in pairs:
// register 2 h + r of dy[c] is row g + 8 r of out[2 c + h].
template <int D>
__device__ __forceinline__ void minus_products(float (&x)[2], const Fragment (&out)[D / 8],
                                               const Left (&dy)[D / 16]) {
  x[0] = x[1] = 0;
  unrolled<D / 4>([&](int m) {
    const uint32_t pair = dy[m / 4][m % 4];
    const float* y = out[m / 2] + 2 * (m % 2);
    x[m % 2] -= y[0] * low_half(pair) + y[1] * high_half(pair);
  });
  unrolled<2>([&](int r) { x[r] = cuda::warp_sum<4>(x[r]); });
}

// dq of 16 queries, and for dk and dv two numbers of each query i: log2 of the sum of 2^s, and
// -sum_j A_ij dA_ij = -dy_i . y_i. If n is known, P stays in registers, else it is made twice.
template <int D, int N, bool map, class P>
__device__ __forceinline__ void backward_queries(Warp<D, N, map>& w, const P& p, int i0,
                                                 const AttentionGradients<bf16>& to) {
  constexpr int ld = P::ld;
  Left q[D / 16], dy[D / 16];
  float most[2] = {0, 0}, exact[2];  // the sums of P, and in `sum` those of P rounded
  Fragment out[D / 8], sum, kept[N ? (N + 15) / 16 * 2 : 1];
  load_rows<D>(q, p.tq + i0 * ld, ld);
  load_rows<D>(dy, p.tdy + i0 * ld, ld);
  w.set_rows(i0);
  attend(w, p, q, most, out, sum, [&](int j, const Fragment(&s)[2]) {
    if (j == 0) exact[0] = exact[1] = 0;
    unrolled<8>([&](int e) {
      if (e >= 4 && w.half(j)) return;
      exact[e % 4 / 2] += s[e / 4][e % 4];
      if constexpr (N > 0) kept[j / 8 + e / 4][e % 4] = s[e / 4][e % 4];
    });
  });

  float scale[2], dot[2], log_sum[2];
  minus_products<D>(dot, out, dy);
  unrolled<2>([&](int r) {
    exact[r] = cuda::warp_sum<4>(exact[r]);
    scale[r] = N ? ptx::reciprocal_approx(exact[r]) : 1;
    log_sum[r] = most[r] + ptx::log2_approx(exact[r]);
    dot[r] *= ptx::reciprocal_approx(sum[2 * r]);
    const int i = i0 + w.g + 8 * r;
    float* const row = p.rows + i / 2 * 4 + i % 2;
    if (w.t == 0) {
      row[0] = i < w.n() ? log_sum[r] : INFINITY;  // no weight for queries that do not exist
      row[2] = i < w.n() ? dot[r] : 0;
    }
  });

  Fragment dq[D / 8] = {};
  w.for_columns([&](int j) {
    Fragment g[2], s[2];
    unrolled<8>([&](int e) { g[e / 4][e % 4] = dot[e % 4 / 2]; });
    multiply_transposed<D>(g, dy, p.tv + j * ld, ld, w.half(j));
    if constexpr (N == 0) {
      w.scores(s, q, p.tk + j * ld, ld, j, log_sum);
      w.exponentials(s, j);
    }
    // dS / scale = P / scale (dA - sum_j A dA)
    Left ds;
    if constexpr (N == 0)
      round_product(ds, s[0], s[1], g);
    else
      round_product(ds, kept[j / 8], kept[j / 8 + 1], g, w.half(j));
    multiply<D>(dq, ds, p.tk + j * ld, ld);
  });
  p.rotate_back(dq, i0);
  const float factor = rsqrtf(float(D));
  p.store(to.dq, p.call.qk_stride, dq, i0, scale[0] * factor, scale[1] * factor, to.add_qk,
          p.stage);
}

// dk and dv of 16 keys, from scores whose rows are keys and whose columns are queries.
template <int D, int N, bool map, class P>
__device__ __forceinline__ void backward_keys(Warp<D, N, map>& w, const P& p, int j0,
                                              const AttentionGradients<bf16>& to) {
  constexpr int ld = P::ld;
  Left k[D / 16], v[D / 16];
  load_rows<D>(k, p.tk + j0 * ld, ld);
  load_rows<D>(v, p.tv + j0 * ld, ld);
  w.set_rows(j0);
  Fragment dk[D / 8] = {}, dv[D / 8] = {};
  w.for_columns([&](int i) {
    Fragment s[2], g[2];
    unrolled<2>([&](int h) {
      if (h && w.half(i)) return;
      const auto row = *reinterpret_cast<const Pack<float, 4>*>(p.rows + 2 * (i + 8 * h + 2 * w.t));
      w.start(s[h], i + 8 * h, [&](int e) { return row.at[e % 2]; });
      unrolled<4>([&](int e) { g[h][e] = row.at[2 + e % 2]; });
    });
    multiply_transposed<D>(s, k, p.tq + i * ld, ld, w.half(i));
    multiply_transposed<D>(g, v, p.tdy + i * ld, ld, w.half(i));
    w.exponentials(s, i);
    Left weights, ds;
    round(weights, s, w.half(i));
    round_product(ds, s[0], s[1], g, w.half(i));
    multiply<D>(dv, weights, p.tdy + i * ld, ld);
    multiply<D>(dk, ds, p.tq + i * ld, ld);
  });
  p.rotate_back(dk, j0);
  // The tile of q holds D^-1/2 log2(e) q'. The warp alone reads its rows of k and v, and has.
  constexpr float kFactor = float(1 / kLog2e);
  p.store(to.dk, p.call.qk_stride, dk, j0, kFactor, kFactor, to.add_qk, p.tk + j0 * ld);
  p.store(to.dv, p.call.v_stride, dv, j0, 1, 1, to.add_v, p.tv + j0 * ld);
}

template <int D, int N, bool map>
__global__ void __launch_bounds__(32 * kMaxWarps, kBackwardBlocks)
    backward_kernel(const Call call, AttentionGradients<bf16> to) {
  DYNAMIC_SHARED(bf16, shared);
  const Place<D, N, 4> p(call, shared);
  p.template load_tiles<map>();
  Warp<D, N, map> w(p.n, p.decay(), p.memory.places);
  int i0 = p.i0;
  do backward_queries(w, p, i0, to);
  while (!N && (i0 += p.warps * 16) < p.n);
  __syncthreads();  // rows is complete, and nobody reads k and v of others any more
  i0 = p.i0;
  do backward_keys(w, p, i0, to);
  while (!N && (i0 += p.warps * 16) < p.n);
}

// Are these kernels for this call, with results at these addresses?
template <class... P>
bool serve(const Attention<bf16>& a, const P*... results) {
  const Lines& lines = a.lines;
  if ((lines.D != 16 && lines.D != 32) || lines.n() > kMaxPositions ||
      lines.mode == ops::DecayMode::post_multiply)
    return false;
  constexpr int64_t kMaxGrid = 65535;  // along y and z
  return lines.B <= kMaxGrid && lines.across() <= kMaxGrid &&
         lines.B * lines.H * lines.W <= INT32_MAX && lines.H * lines.W * lines.D <= INT32_MAX &&
         std::max({a.qk_stride, a.v_stride, a.y_stride}) <= INT32_MAX / 2 &&
         (a.qk_stride | a.v_stride | a.y_stride) % 8 == 0 &&
         Call(a).bytes(4, int(lines.D)) <= kMaxShared &&
         cuda::aligned(a.q, a.k, a.v, a.dy, a.rotary, results...);
}

// f(D, N, map) as compile-time constants for the shape.
template <class F>
void for_shape(const Lines& lines, const F& f) {
  const auto is = [&](int64_t D, int64_t n) { return lines.D == D && lines.n() == n; };
  const bool map = lines.axis == ops::Axis::both;
  std::integral_constant<int, 16> d16;
  std::integral_constant<int, 32> d32;
  std::integral_constant<int, 0> any;
  std::false_type line;
  std::true_type whole;
  if (map && is(32, 49) && lines.W == 7)
    f(d32, std::integral_constant<int, 49>(), whole);
  else if (map)
    lines.D == 16 ? f(d16, any, whole) : f(d32, any, whole);
  else if (is(16, 56))
    f(d16, std::integral_constant<int, 56>(), line);
  else if (is(32, 28))
    f(d32, std::integral_constant<int, 28>(), line);
  else if (is(32, 14))
    f(d32, std::integral_constant<int, 14>(), line);
  else
    lines.D == 16 ? f(d16, any, line) : f(d32, any, line);
}

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), const Call& c, const Lines& lines, int tensors,
            const A&... args) {
  const int D = int(lines.D);
  const dim3 grid(unsigned(lines.heads / c.units), unsigned(lines.across()), unsigned(lines.B));
  const dim3 block(unsigned(c.units * D / 8), unsigned(256 / D * c.warps));
  cuda::launch(name, kernel, grid, block, c.bytes(tensors, D), c, args...);
}

inline void forward(const Attention<bf16>& a, bf16* y) {
  for_shape(a.lines, [&](auto D, auto N, auto map) {
    launch("manhattan_attention_forward", forward_kernel<D, N, map>, Call(a), a.lines, 3, y);
  });
}

inline void backward(const Attention<bf16>& a, const AttentionGradients<bf16>& to) {
  for_shape(a.lines, [&](auto D, auto N, auto map) {
    launch("manhattan_attention_backward", backward_kernel<D, N, map>, Call(a), a.lines, 4, to);
  });
}

}  // namespace rmt::gpu::tensor_cores
