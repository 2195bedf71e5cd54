// manhattan_attention in bf16 on tensor cores (mma.m16n8k16, core/cuda/ptx.h), for the shapes of
// RMT: heads of 16 or 32 channels, lines of up to 256 positions, rows of A that sum to 1.
//
// A block holds one or several units whole in shared memory: the tiles q', k' (rotated and rounded
// to bf16 again), v, dy. A warp takes 16 rows of a unit's scores, K columns at a time, in
// registers; positions are padded with zeros to a multiple of 16. Decay is computed from the
// positions. P and dS are rounded to bf16 for the products that follow; all sums are f32.
//
//    warp 0:  queries  0 - 15     +------------+------------+---
//                                 |  16 x K    |  16 x K    |  ...      K: 64, or less for
//                                 +------------+------------+---           short lines, which
//    warp 1:  queries 16 - 31     |                                        then fit into one step
#pragma once
#include <type_traits>

#include "ops/attention/tensor_core_tiles.cuh"

namespace rmt::gpu::tensor_cores {

constexpr int kMaxPositions = 256, kMaxWarps = 8;
constexpr size_t kMaxShared = 99 << 10;  // of a block, on every GPU from sm_80 on

// How the units are dealt to blocks.
struct Plan {
  int n, padded;     // positions of a line, and rounded up to 16
  int warps, units;  // of a unit; of a block
  size_t bytes;      // of shared memory
  int64_t blocks;

  Plan(const Lines& lines, int tensors) : n(int(lines.n())), padded((n + 15) / 16 * 16) {
    const int tiles = padded / 16, rounds = (tiles + kMaxWarps - 1) / kMaxWarps;
    warps = (tiles + rounds - 1) / rounds;
    units = kMaxWarps / warps;
    const size_t of_a_position = tensors * (lines.D + 8) * sizeof(bf16) + 2 * sizeof(float);
    bytes = padded * (units * of_a_position + 2 * sizeof(float)) + units * lines.D * sizeof(bf16);
    blocks = cuda::blocks_for(lines.units(), units);
  }
};

// Where a warp stands: which of the block's units is its own, and that unit's tiles.
template <int D>
struct Place {
  int local, i0;  // the number of the unit in the block, the first of the warp's rows
  const bf16 *tq, *tk, *tv, *tdy;
  float* rows;

  __device__ Place(const BlockMemory<D>& memory, int padded, int warps) {
    const int warp = int(threadIdx.x) / 32, tile = padded * BlockMemory<D>::ld;
    local = warp / warps;
    i0 = warp % warps * 16;
    tq = memory.tiles + local * memory.unit_size;
    tk = tq + tile;
    tv = tk + tile;
    tdy = tv + tile;
    rows = memory.rows + local * 2 * padded;
  }
};

// Blocks that a multiprocessor must have registers for.
constexpr int forward_blocks(int K) { return K > 32 ? 2 : 4; }
constexpr int backward_blocks(int K) { return K > 16 ? 2 : 3; }

// y. With K < 64 a line is not longer than K, and a warp has 16 queries.
template <int D, int K, bool map>
__global__ void __launch_bounds__(32 * kMaxWarps, forward_blocks(K))
    forward_kernel(Attention<bf16> a, int n, int padded, int warps, bf16* y) {
  constexpr bool kLoops = K == 64;
  DYNAMIC_SHARED(bf16, shared);
  const int units = int(blockDim.x) / 32 / warps;
  const BlockMemory<D> memory(shared, padded, units, 3);
  const Place<D> p(memory, padded, warps);
  load_tiles<D, 3>(a, memory, n, padded, units);
  Warp<D, map> w(a, memory, n, int64_t(blockIdx.x) * units + p.local);
  finish_loading<D, map>(memory, padded, int(a.lines.W));
  int i0 = p.i0;
  do {
    w.set_rows(i0);
    float most[2] = {-INFINITY, -INFINITY}, keep[2], sum[2] = {};
    Fragment s[K / 8], out[D / 8] = {};
    int j0 = 0;
    do {
      w.template scores<K>(s, p.tq + i0 * w.ld, p.tk, j0);
      w.template online_softmax_step<K>(s, j0, most, keep);
      unrolled<2>([&](int r) { sum[r] *= keep[r]; });
      unrolled<D / 2>([&](int e) { out[e / 4][e % 4] *= keep[e % 4 / 2]; });
      unrolled<K / 2>([&](int e) { sum[e % 4 / 2] += s[e / 4][e % 4]; });
#pragma unroll
      for (int m = 0; m < K / 8; m += 2) {
        if (j0 + 8 * m >= n) break;
        multiply<D>(out, s[m], s[m + 1], p.tv + (j0 + 8 * m) * w.ld);
      }
    } while (kLoops && (j0 += K) < n);
    w.store(y, a.y_stride, out, i0, 1 / cuda::warp_sum<4>(sum[0]), 1 / cuda::warp_sum<4>(sum[1]));
  } while (kLoops && (i0 += warps * 16) < n);
}

// f(m, g = dA) for the queries i0 ... i0 + 15 and the keys j0 + 8 m ... j0 + 8 m + 15, for all K
// keys from j0 on. dA is made each time it is needed: registers are scarcer than tensor cores.
template <int K, int D, bool map, class F>
__device__ __forceinline__ void for_dA(const Warp<D, map>& w, const Place<D>& p, int i0, int j0,
                                       const F& f) {
  uint32_t dy[D / 16][4];
  load_rows<D>(dy, p.tdy + i0 * w.ld);
#pragma unroll
  for (int m = 0; m < K / 8; m += 2) {
    if (j0 + 8 * m >= w.n) break;
    Fragment g[2] = {};
    multiply_transposed<D>(g[0], g[1], dy, p.tv + (j0 + 8 * m) * w.ld);
    f(m, g);
  }
}

// dq of 16 queries, and for dk and dv two numbers of each query i: rows_i = log2 of the sum of
// 2^(S log2(e)), and sum_j P_ij dA_ij. If n > K, its scores are computed twice.
template <int K, int D, bool map>
__device__ __forceinline__ void backward_queries(Warp<D, map>& w, const Place<D>& p, int i0,
                                                 const Attention<bf16>& a,
                                                 const AttentionGradients<bf16>& to) {
  constexpr bool kLoops = K == 64;
  float most[2] = {-INFINITY, -INFINITY}, keep[2], sum[2] = {}, dot[2] = {};
  Fragment s[K / 8];
  w.set_rows(i0);
  int j0 = 0;
  do {
    w.template scores<K>(s, p.tq + i0 * w.ld, p.tk, j0);
    w.template online_softmax_step<K>(s, j0, most, keep);
    unrolled<2>([&](int r) {
      sum[r] *= keep[r];
      dot[r] *= keep[r];
    });
    for_dA<K>(w, p, i0, j0, [&](int m, const Fragment(&g)[2]) {
      unrolled<8>([&](int e) {
        const float weight = s[m + e / 4][e % 4];
        sum[e % 4 / 2] += weight;
        dot[e % 4 / 2] += weight * g[e / 4][e % 4];
      });
    });
  } while (kLoops && (j0 += K) < w.n);

  float scale[2];
  unrolled<2>([&](int r) {
    sum[r] = cuda::warp_sum<4>(sum[r]);
    scale[r] = 1 / sum[r];
    dot[r] = cuda::warp_sum<4>(dot[r]) * scale[r];
    const int i = i0 + w.g + 8 * r;
    if (w.t == 0) {
      p.rows[2 * i] = most[r] + log2f(sum[r]);
      p.rows[2 * i + 1] = dot[r];
    }
  });

  Fragment out[D / 8] = {};
  j0 = 0;
  do {
    if (kLoops && w.n > K) {
      w.template scores<K>(s, p.tq + i0 * w.ld, p.tk, j0);
      w.template online_softmax_step<K>(s, j0, most, keep);
    }
    for_dA<K>(w, p, i0, j0, [&](int m, Fragment(&g)[2]) {
      unrolled<8>([&](int e) {  // g = dS / scale = P / scale (dA - sum_j P dA)
        g[e / 4][e % 4] = s[m + e / 4][e % 4] * (g[e / 4][e % 4] - dot[e % 4 / 2]);
      });
      multiply<D>(out, g[0], g[1], p.tk + (j0 + 8 * m) * w.ld);
    });
  } while (kLoops && (j0 += K) < w.n);
  w.rotate_back(out, i0);
  w.store(to.dq, a.qk_stride, out, i0, scale[0] * rsqrtf(float(D)), scale[1] * rsqrtf(float(D)),
          to.add_qk);
}

// dk and dv of 16 keys, from scores whose rows are keys and whose columns are queries. Queries that
// are padding have dy = 0, and with it dot = dS = 0.
template <int K, int D, bool map>
__device__ __forceinline__ void backward_keys(Warp<D, map>& w, const Place<D>& p, int j0,
                                              const Attention<bf16>& a,
                                              const AttentionGradients<bf16>& to) {
  uint32_t k[D / 16][4], v[D / 16][4];
  load_rows<D>(k, p.tk + j0 * w.ld);
  load_rows<D>(v, p.tv + j0 * w.ld);
  w.set_rows(j0);
  Fragment out_k[D / 8] = {}, out_v[D / 8] = {};
  int i0 = 0;
  do {
    Fragment s[2] = {}, g[2] = {};
    multiply_transposed<D>(s[0], s[1], k, p.tq + i0 * w.ld);
    multiply_transposed<D>(g[0], g[1], v, p.tdy + i0 * w.ld);
    unrolled<2>([&](int h) {
      const int i = i0 + 8 * h;
      w.add_decay(s[h], i);
      // The two numbers of our two queries.
      const auto row = *reinterpret_cast<const Pack<float, 4>*>(p.rows + 2 * (i + 2 * w.t));
      unrolled<4>([&](int e) {
        s[h][e] = ptx::exp2_approx(s[h][e] - row.at[e % 2 * 2]);
        g[h][e] = s[h][e] * (g[h][e] - row.at[e % 2 * 2 + 1]);
      });
    });
    multiply<D>(out_v, s[0], s[1], p.tdy + i0 * w.ld);
    multiply<D>(out_k, g[0], g[1], p.tq + i0 * w.ld);
  } while (K > 16 && (i0 += 16) < w.n);
  w.rotate_back(out_k, j0);
  // The tile of q holds D^-1/2 log2(e) q'.
  w.store(to.dk, a.qk_stride, out_k, j0, float(1 / kLog2e), float(1 / kLog2e), to.add_qk);
  w.store(to.dv, a.v_stride, out_v, j0, 1, 1, to.add_v);
}

template <int D, int K, bool map>
__global__ void __launch_bounds__(32 * kMaxWarps, backward_blocks(K))
    backward_kernel(Attention<bf16> a, int n, int padded, int warps, AttentionGradients<bf16> to) {
  constexpr bool kLoops = K == 64;
  DYNAMIC_SHARED(bf16, shared);
  const int units = int(blockDim.x) / 32 / warps;
  const BlockMemory<D> memory(shared, padded, units, 4);
  const Place<D> p(memory, padded, warps);
  load_tiles<D, 4>(a, memory, n, padded, units);
  Warp<D, map> w(a, memory, n, int64_t(blockIdx.x) * units + p.local);
  finish_loading<D, map>(memory, padded, int(a.lines.W));
  int i0 = p.i0;
  do backward_queries<K>(w, p, i0, a, to);
  while (kLoops && (i0 += warps * 16) < n);
  __syncthreads();  // rows is complete
  i0 = p.i0;
  do backward_keys<K>(w, p, i0, a, to);
  while (kLoops && (i0 += warps * 16) < n);
}

// Are these kernels for this call, with results at these addresses?
template <class... P>
bool serve(const Attention<bf16>& a, const P*... results) {
  const Lines& lines = a.lines;
  return (lines.D == 16 || lines.D == 32) && lines.n() <= kMaxPositions &&
         lines.H * lines.W * lines.heads * lines.D <= INT32_MAX &&
         lines.mode != ops::DecayMode::post_multiply && Plan(lines, 4).bytes <= kMaxShared &&
         cuda::aligned(a.q, a.k, a.v, a.dy, a.rotary, results...) &&
         (a.qk_stride | a.v_stride | a.y_stride) % 8 == 0;
}

// f(D, K, map) as compile-time constants for the shape.
template <class F>
void for_shape(const Lines& lines, const F& f) {
  auto with_D = [&](auto D) {
    if (lines.axis == ops::Axis::both)
      return f(D, std::integral_constant<int, 64>(), std::true_type());
    if (lines.n() <= 16) return f(D, std::integral_constant<int, 16>(), std::false_type());
    if (lines.n() <= 32) return f(D, std::integral_constant<int, 32>(), std::false_type());
    f(D, std::integral_constant<int, 64>(), std::false_type());
  };
  lines.D == 16 ? with_D(std::integral_constant<int, 16>())
                : with_D(std::integral_constant<int, 32>());
}

inline void forward(const Attention<bf16>& a, bf16* y) {
  const Plan p(a.lines, 3);
  for_shape(a.lines, [&](auto D, auto K, auto map) {
    cuda::launch("manhattan_attention_forward", forward_kernel<D, K, map>, dim3(unsigned(p.blocks)),
                 dim3(unsigned(32 * p.warps * p.units)), p.bytes, a, p.n, p.padded, p.warps, y);
  });
}

inline void backward(const Attention<bf16>& a, const AttentionGradients<bf16>& to) {
  const Plan p(a.lines, 4);
  for_shape(a.lines, [&](auto D, auto K, auto map) {
    cuda::launch("manhattan_attention_backward", backward_kernel<D, K, map>,
                 dim3(unsigned(p.blocks)), dim3(unsigned(32 * p.warps * p.units)), p.bytes, a, p.n,
                 p.padded, p.warps, to);
  });
}

}  // namespace rmt::gpu::tensor_cores
