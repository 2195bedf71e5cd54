// manhattan_attention.cpp's formulas in bf16 on tensor cores (mma.m16n8k16, core/cuda/ptx.h): heads of 16 or 32 channels, lines of up to 256 positions,
// softmaxes whose rows sum to 1. A block holds one or several units (one head of one line each) whole in shared memory: q and k turned by their angles and
// rounded again, v, dy. A warp takes 16 rows of scores, K columns at a time, in registers: lane 4 g + t has columns 2t, 2t + 1 of rows g, g + 8 of each 8
// columns. Decay is computed from the positions; P and dS are rounded to bf16 for the products; all sums are f32. Rows and columns are padded with zeros to
// multiples of 16.
#pragma once
#include <cmath>
#include <type_traits>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/ptx.h"
#include "core/cuda/warp.cuh"
#include "ops/manhattan_attention.cuh"

namespace rmt::gpu::tensor_cores {

using cuda::Pack;
using Eight = Pack<uint32_t, 4>;  // bf16, the first in the lower half of the first

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
    warps = (tiles + rounds - 1) / rounds, units = kMaxWarps / warps;
    bytes = size_t(padded) * (units * (tensors * (lines.D + 8) * sizeof(bf16) + 2 * sizeof(float)) + 2 * sizeof(float));
    blocks = cuda::blocks_for(lines.count() * lines.heads, units);
  }
};

// A block's shared memory: tiles (padded, ld) of each unit, then two numbers of each row of a unit's scores, then x, y of the map's positions.
template <int D>
struct Memory {
  static constexpr int ld = D + 8;  // 16 bytes more than a row, so that 8 rows lie in all banks
  bf16* tiles;
  float *rows, *places;

  __device__ Memory(bf16* shared, int padded, int units, int tensors)
      : tiles(shared), rows(reinterpret_cast<float*>(shared + units * tensors * padded * ld)), places(rows + units * 2 * padded) {}
};

// x (8 channels of a position), times factor, turned by the position's angles
__device__ __forceinline__ Eight turned(Eight x, const Pack<float, 8>& angles, float factor) {
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    float x0 = factor * __uint_as_float(x.at[c] << 16), x1 = factor * __uint_as_float(x.at[c] & 0xffff0000u);
    rotate(x0, x1, angles.at[2 * c], angles.at[2 * c + 1]);
    x.at[c] = ptx::pack_bf16(x0, x1);
  }
  return x;
}

// Fills the tiles q', k', v (and dy) of all units of the block, neighbouring threads with neighbouring channels and heads. q' has the factor D^-1/2 log2(e).
// Threads without a position of their own read the line's last and write zeros: no branch keeps a thread's loads from being under way together.
template <int D, int tensors>
__device__ __forceinline__ void load_tiles(const Attention<bf16>& a, const Memory<D>& memory, int n, int padded, int units) {
  constexpr int ld = Memory<D>::ld, kBatch = D / 16;
  const int across = units * (D / 8), column = int(threadIdx.x) % across, local = column / (D / 8), c = column % (D / 8) * 8;
  const int first = int(threadIdx.x) / across, step = int(blockDim.x) / across;
  const int64_t unit = int64_t(blockIdx.x) * units + local, last = a.lines.count() * a.lines.heads - 1;
  const Head<bf16> head(a, min(unit, last));
  const int stride = int(head.stride), table_stride = int(head.table_stride), live = unit <= last ? n : 0;
  bf16* tile = memory.tiles + local * tensors * padded * ld + c;
  for (int i = first; i < padded; i += step) {
    const int64_t at = head.at + c + min(i, n - 1) * stride;
    ptx::cp_async_16(tile + (2 * padded + i) * ld, a.v + at, i < live);
    if constexpr (tensors == 4) ptx::cp_async_16(tile + (3 * padded + i) * ld, a.dy + at, i < live);
  }
  ptx::cp_async_commit();
  const float factor = float(kLog2e) * rsqrtf(float(D));
  for (int i = first; i < padded; i += kBatch * step) {
    Eight q[kBatch], k[kBatch];
    Pack<float, 8> angles[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int64_t at = head.at + c + min(i + b * step, n - 1) * stride;
      q[b] = *reinterpret_cast<const Eight*>(a.q + at), k[b] = *reinterpret_cast<const Eight*>(a.k + at);
      angles[b] = {1, 0, 1, 0, 1, 0, 1, 0};
    }
    if (head.table)
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        const auto* from = reinterpret_cast<const Pack<float, 4>*>(head.table + c + min(i + b * step, n - 1) * table_stride);
        *reinterpret_cast<Pack<float, 4>*>(angles[b].at) = from[0], *reinterpret_cast<Pack<float, 4>*>(angles[b].at + 4) = from[1];
      }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int j = i + b * step;
      if (j >= padded) break;
      const float there = j < live;
      *reinterpret_cast<Eight*>(tile + j * ld) = turned(q[b], angles[b], there * factor);
      *reinterpret_cast<Eight*>(tile + (padded + j) * ld) = turned(k[b], angles[b], there);
    }
  }
}

// 16 rows of a tile as the left factor of mma
template <int D>
__device__ __forceinline__ void load_rows(uint32_t (&a)[D / 16][4], const bf16* tile) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int s = 0; s < D / 16; ++s) ptx::ldmatrix_x4(a[s], tile + lane % 16 * Memory<D>::ld + s * 16 + lane / 16 * 8);
}

// s (16, 16) += a b^T for 16 rows b of a tile;  s is two of mma's results, 8 columns each
template <int D>
__device__ __forceinline__ void multiply_transposed(float (&s0)[4], float (&s1)[4], const uint32_t (&a)[D / 16][4], const bf16* b) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int s = 0; s < D / 16; ++s) {
    uint32_t r[4];
    ptx::ldmatrix_x4(r, b + (lane / 16 * 8 + lane % 8) * Memory<D>::ld + s * 16 + lane / 8 % 2 * 8);
    ptx::mma_m16n8k16(s0, a[s], {r[0], r[1]});
    ptx::mma_m16n8k16(s1, a[s], {r[2], r[3]});
  }
}

// out (16, D) += p b for p (16, 16), as two of mma's results, and 16 rows b of a tile
template <int D>
__device__ __forceinline__ void multiply(float (&out)[D / 8][4], const float (&p0)[4], const float (&p1)[4], const bf16* b) {
  const int lane = int(threadIdx.x) % 32;
  const uint32_t a[4] = {ptx::pack_bf16(p0[0], p0[1]), ptx::pack_bf16(p0[2], p0[3]), ptx::pack_bf16(p1[0], p1[1]), ptx::pack_bf16(p1[2], p1[3])};
#pragma unroll
  for (int s = 0; s < D / 16; ++s) {
    uint32_t r[4];
    ptx::ldmatrix_x4_trans(r, b + lane % 16 * Memory<D>::ld + s * 16 + lane / 16 * 8);
    ptx::mma_m16n8k16(out[2 * s], a, {r[0], r[1]});
    ptx::mma_m16n8k16(out[2 * s + 1], a, {r[2], r[3]});
  }
}

// x_u of lane 4 g + t -> x_t of lane 4 g + u
__device__ __forceinline__ void transpose_quad(uint32_t (&x)[4]) {
#pragma unroll
  for (int bit = 1; bit < 4; bit *= 2) {
    const bool upper = threadIdx.x & bit;
#pragma unroll
    for (int u = 0; u < 4; ++u) {
      if (u & bit) continue;
      const uint32_t other = __shfl_xor_sync(cuda::kFullWarp, upper ? x[u] : x[u + bit], bit);
      (upper ? x[u] : x[u + bit]) = other;
    }
  }
}

// One warp's unit, and what its lane does with scores.
template <int D, bool map>
struct Warp {
  static constexpr int ld = Memory<D>::ld;
  const int n, g, t;
  const bool live;
  const Head<bf16> head;
  const int stride, table_stride;
  const float* places;
  float x[2], y[2];  // of the positions of rows g and g + 8

  __device__ Warp(const Attention<bf16>& a, const Memory<D>& memory, int positions, int64_t unit, int64_t units)
      : n(positions),
        g(int(threadIdx.x) % 32 / 4),
        t(int(threadIdx.x) % 4),
        live(unit < units),
        head(a, live ? unit : units - 1),
        stride(int(head.stride)),
        table_stride(int(head.table_stride)),
        places(memory.places) {}

  __device__ void set_rows(int i0) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int i = i0 + g + 8 * r;
      if constexpr (map)
        x[r] = places[2 * i], y[r] = places[2 * i + 1];
      else
        x[r] = float(i);
    }
  }

  // s += decay times distance, for the columns j0 ... j0 + 7
  __device__ void add_decay(float (&s)[4], int j0) const {
    Pack<float, 4> at;  // x, y of our two columns
    if constexpr (map)
      at = *reinterpret_cast<const Pack<float, 4>*>(places + 2 * (j0 + 2 * t));
    else
      at.at[0] = float(j0 + 2 * t), at.at[2] = at.at[0] + 1;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float d = fabsf(x[e / 2] - at.at[e % 2 * 2]);
      if constexpr (map) d += fabsf(y[e / 2] - at.at[e % 2 * 2 + 1]);
      s[e] += head.slope * d;
    }
  }

  // Columns that are padding get no weight.
  __device__ void mask(float (&s)[4], int j0) const {
    if (j0 + 8 <= n) return;
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (j0 + 2 * t + e % 2 >= n) s[e] = -INFINITY;
  }

  // s = S log2(e) of 16 queries and the keys j0 ... j0 + K - 1
  template <int K>
  __device__ __forceinline__ void scores(float (&s)[K / 8][4], const bf16* queries, const bf16* keys, int j0) const {
    uint32_t q[D / 16][4];
    load_rows<D>(q, queries);
#pragma unroll
    for (int m = 0; m < K / 8; ++m)
#pragma unroll
      for (int e = 0; e < 4; ++e) s[m][e] = 0;
#pragma unroll
    for (int m = 0; m < K / 8; m += 2) {
      if (j0 + 8 * m >= n) break;
      multiply_transposed<D>(s[m], s[m + 1], q, keys + (j0 + 8 * m) * ld);
      add_decay(s[m], j0 + 8 * m), mask(s[m], j0 + 8 * m);
      add_decay(s[m + 1], j0 + 8 * m + 8), mask(s[m + 1], j0 + 8 * m + 8);
    }
  }

  // s -> 2^(s - most), raising the rows' maxima; what was summed over earlier columns is to be multiplied by `keep`
  template <int K>
  __device__ __forceinline__ void exponentials(float (&s)[K / 8][4], int j0, float (&most)[2], float (&keep)[2]) const {
    float top[2] = {most[0], most[1]};
#pragma unroll
    for (int m = 0; m < K / 8; ++m) {
      if (j0 + 8 * m >= n) break;
#pragma unroll
      for (int e = 0; e < 4; ++e) top[e / 2] = fmaxf(top[e / 2], s[m][e]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) top[r] = cuda::warp_max<4>(top[r]), keep[r] = ptx::exp2_approx(most[r] - top[r]), most[r] = top[r];
#pragma unroll
    for (int m = 0; m < K / 8; ++m)
      if (j0 + 8 * m < n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) s[m][e] = ptx::exp2_approx(s[m][e] - top[e / 2]);
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e) s[m][e] = 0;
      }
  }

  // Channels 2t, 2t + 1 of each 8, turned back by the angles of the rows' positions
  __device__ void turn_back(float (&out)[D / 8][4], int i0) const {
    if (!head.table) return;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const auto* angles = reinterpret_cast<const Pack<float, 2>*>(head.table + min(i0 + g + 8 * r, n - 1) * table_stride) + t;
#pragma unroll
      for (int m = 0; m < D / 8; ++m) {
        const Pack<float, 2> angle = angles[4 * m];
        rotate(out[m][2 * r], out[m][2 * r + 1], angle.at[0], -angle.at[1]);
      }
    }
  }

  // to = factor_r out for the rows i0 + g + 8 r. The four lanes of a row exchange their pairs of channels until each has 8 neighbours to write.
  __device__ void store(bf16* to, const float (&out)[D / 8][4], int i0, float f0, float f1) const {
    uint32_t pairs[D / 4];  // row r, channels 8 m + 2t: number r D / 8 + m
#pragma unroll
    for (int m = 0; m < D / 8; ++m)
      pairs[m] = ptx::pack_bf16(f0 * out[m][0], f0 * out[m][1]), pairs[D / 8 + m] = ptx::pack_bf16(f1 * out[m][2], f1 * out[m][3]);
#pragma unroll
    for (int b = 0; b < D / 4; b += 4) {
      uint32_t four[4] = {pairs[b], pairs[b + 1], pairs[b + 2], pairs[b + 3]};
      transpose_quad(four);
      const int number = b + t, i = i0 + g + 8 * (number / (D / 8));
      if (live && i < n) *reinterpret_cast<Eight*>(to + head.at + i * stride + number % (D / 8) * 8) = {four[0], four[1], four[2], four[3]};
    }
  }
};

// Writes down the coordinates of a map's positions, and waits for the tiles.
template <int D, bool map>
__device__ __forceinline__ void finish_loading(const Memory<D>& memory, int padded, int width) {
  if constexpr (map)
    for (int i = int(threadIdx.x); i < padded; i += int(blockDim.x)) memory.places[2 * i] = float(i % width), memory.places[2 * i + 1] = float(i / width);
  ptx::cp_async_wait<0>();
  __syncthreads();
}

// y. With K < 64 a line is not longer than K, and a warp has 16 queries.
template <int D, int K, bool map>
__global__ void __launch_bounds__(32 * kMaxWarps, K > 32   ? 2
                                                  : K > 16 ? 3
                                                           : 4) forward_kernel(Attention<bf16> a, int n, int padded, int warps, bf16* y) {
  constexpr bool kLoops = K == 64;
  DYNAMIC_SHARED(bf16, shared);
  const int warp = int(threadIdx.x) / 32, local = warp / warps, units = int(blockDim.x) / 32 / warps, tile = padded * Memory<D>::ld;
  const Memory<D> memory(shared, padded, units, 3);
  load_tiles<D, 3>(a, memory, n, padded, units);
  Warp<D, map> w(a, memory, n, int64_t(blockIdx.x) * units + local, a.lines.count() * a.lines.heads);
  finish_loading<D, map>(memory, padded, int(a.lines.W));
  const bf16 *tq = memory.tiles + local * 3 * tile, *tk = tq + tile, *tv = tk + tile;
  int i0 = warp % warps * 16;
  do {
    w.set_rows(i0);
    float s[K / 8][4], most[2] = {-INFINITY, -INFINITY}, keep[2], sum[2] = {}, out[D / 8][4] = {};
    int j0 = 0;
    do {
      w.template scores<K>(s, tq + i0 * w.ld, tk, j0);
      w.template exponentials<K>(s, j0, most, keep);
#pragma unroll
      for (int r = 0; r < 2; ++r) sum[r] *= keep[r];
#pragma unroll
      for (int e = 0; e < D / 2; ++e) out[e / 4][e % 4] *= keep[e % 4 / 2];
#pragma unroll
      for (int e = 0; e < K / 2; ++e) sum[e % 4 / 2] += s[e / 4][e % 4];
#pragma unroll
      for (int m = 0; m < K / 8; m += 2) {
        if (j0 + 8 * m >= n) break;
        multiply<D>(out, s[m], s[m + 1], tv + (j0 + 8 * m) * w.ld);
      }
    } while (kLoops && (j0 += K) < n);
    w.store(y, out, i0, 1 / cuda::warp_sum<4>(sum[0]), 1 / cuda::warp_sum<4>(sum[1]));
  } while (kLoops && (i0 += warps * 16) < n);
}

// dq of 16 queries, and for dk and dv: rows = log2 of the sum of 2^(S log2(e)), and sum_j P_ij dA_ij, of each query. n > K: its scores are computed twice.
template <int K, int D, bool map>
__device__ __forceinline__ void backward_queries(Warp<D, map>& w, const bf16* tq, const bf16* tk, const bf16* tv, const bf16* tdy, int i0, float* rows,
                                                 bf16* dq) {
  constexpr bool kLoops = K == 64;
  float s[K / 8][4], most[2] = {-INFINITY, -INFINITY}, keep[2], sum[2] = {}, dot[2] = {}, out[D / 8][4] = {};
  // f(m, g = dA) for the columns j0 + 8 m ... j0 + 8 m + 15. dA is computed each time it is needed: registers are scarcer than tensor cores.
  auto for_columns = [&](int j0, const auto& f) {
    uint32_t dy[D / 16][4];
    load_rows<D>(dy, tdy + i0 * w.ld);
#pragma unroll
    for (int m = 0; m < K / 8; m += 2) {
      if (j0 + 8 * m >= w.n) break;
      float g[2][4] = {};
      multiply_transposed<D>(g[0], g[1], dy, tv + (j0 + 8 * m) * w.ld);
      f(m, g);
    }
  };
  w.set_rows(i0);
  int j0 = 0;
  do {
    w.template scores<K>(s, tq + i0 * w.ld, tk, j0);
    w.template exponentials<K>(s, j0, most, keep);
#pragma unroll
    for (int r = 0; r < 2; ++r) sum[r] *= keep[r], dot[r] *= keep[r];
    for_columns(j0, [&](int m, const float(&g)[2][4]) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        const float p = s[m + e / 4][e % 4];
        sum[e % 4 / 2] += p, dot[e % 4 / 2] += p * g[e / 4][e % 4];
      }
    });
  } while (kLoops && (j0 += K) < w.n);
  float scale[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] = cuda::warp_sum<4>(sum[r]), scale[r] = 1 / sum[r], dot[r] = cuda::warp_sum<4>(dot[r]) * scale[r];
    const int i = i0 + w.g + 8 * r;
    if (w.t == 0) rows[2 * i] = most[r] + log2f(sum[r]), rows[2 * i + 1] = dot[r];
  }
  j0 = 0;
  do {
    if (kLoops && w.n > K) {
      w.template scores<K>(s, tq + i0 * w.ld, tk, j0);
      w.template exponentials<K>(s, j0, most, keep);
    }
    for_columns(j0, [&](int m, float(&g)[2][4]) {
#pragma unroll
      for (int e = 0; e < 8; ++e) g[e / 4][e % 4] = s[m + e / 4][e % 4] * scale[e % 4 / 2] * (g[e / 4][e % 4] - dot[e % 4 / 2]);
      multiply<D>(out, g[0], g[1], tk + (j0 + 8 * m) * w.ld);
    });
  } while (kLoops && (j0 += K) < w.n);
  w.turn_back(out, i0);
  w.store(dq, out, i0, rsqrtf(float(D)), rsqrtf(float(D)));
}

// dk and dv of 16 keys, from scores whose rows are keys and whose columns are queries. Queries that are padding have dy = 0, and with it dot = dS = 0.
template <int K, int D, bool map>
__device__ __forceinline__ void backward_keys(Warp<D, map>& w, const bf16* tq, const bf16* tk, const bf16* tv, const bf16* tdy, int j0, const float* rows,
                                              bf16* dk, bf16* dv) {
  uint32_t k[D / 16][4], v[D / 16][4];
  load_rows<D>(k, tk + j0 * w.ld);
  load_rows<D>(v, tv + j0 * w.ld);
  w.set_rows(j0);
  float out_k[D / 8][4] = {}, out_v[D / 8][4] = {};
  int i0 = 0;
  do {
    float s[2][4] = {}, g[2][4] = {};
    multiply_transposed<D>(s[0], s[1], k, tq + i0 * w.ld);
    multiply_transposed<D>(g[0], g[1], v, tdy + i0 * w.ld);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      w.add_decay(s[h], i0 + 8 * h);
      const Pack<float, 4> row = *reinterpret_cast<const Pack<float, 4>*>(rows + 2 * (i0 + 8 * h + 2 * w.t));
#pragma unroll
      for (int e = 0; e < 4; ++e) s[h][e] = ptx::exp2_approx(s[h][e] - row.at[e % 2 * 2]), g[h][e] = s[h][e] * (g[h][e] - row.at[e % 2 * 2 + 1]);
    }
    multiply<D>(out_v, s[0], s[1], tdy + i0 * w.ld);
    multiply<D>(out_k, g[0], g[1], tq + i0 * w.ld);
  } while (K > 16 && (i0 += 16) < w.n);
  w.turn_back(out_k, j0);
  w.store(dk, out_k, j0, float(1 / kLog2e), float(1 / kLog2e));  // the tile of q holds D^-1/2 log2(e) q'
  w.store(dv, out_v, j0, 1, 1);
}

template <int D, int K, bool map>
__global__ void __launch_bounds__(32 * kMaxWarps, K > 16 ? 2 : 3)
    backward_kernel(Attention<bf16> a, int n, int padded, int warps, bf16* dq, bf16* dk, bf16* dv) {
  constexpr bool kLoops = K == 64;
  DYNAMIC_SHARED(bf16, shared);
  const int warp = int(threadIdx.x) / 32, local = warp / warps, units = int(blockDim.x) / 32 / warps, tile = padded * Memory<D>::ld;
  const Memory<D> memory(shared, padded, units, 4);
  load_tiles<D, 4>(a, memory, n, padded, units);
  Warp<D, map> w(a, memory, n, int64_t(blockIdx.x) * units + local, a.lines.count() * a.lines.heads);
  finish_loading<D, map>(memory, padded, int(a.lines.W));
  const bf16 *tq = memory.tiles + local * 4 * tile, *tk = tq + tile, *tv = tk + tile, *tdy = tv + tile;
  float* rows = memory.rows + local * 2 * padded;
  int i0 = warp % warps * 16;
  do backward_queries<K>(w, tq, tk, tv, tdy, i0, rows, dq);
  while (kLoops && (i0 += warps * 16) < n);
  __syncthreads();  // rows is complete
  i0 = warp % warps * 16;
  do backward_keys<K>(w, tq, tk, tv, tdy, i0, rows, dk, dv);
  while (kLoops && (i0 += warps * 16) < n);
}

// Are these kernels for this call? The pointers are those of all tensors and of the table.
template <class... P>
bool serve(const Lines& lines, const P*... pointers) {
  return (lines.D == 16 || lines.D == 32) && lines.n() <= kMaxPositions && lines.H * lines.W * lines.heads * lines.D <= INT32_MAX &&
         lines.mode != ops::DecayMode::post_multiply && Plan(lines, 4).bytes <= kMaxShared && cuda::aligned(pointers...);
}

// f(D, K, map) as compile-time constants for the shape.
template <class F>
void for_shape(const Lines& lines, const F& f) {
  auto with_D = [&](auto D) {
    if (lines.axis == ops::Axis::both) return f(D, std::integral_constant<int, 64>(), std::true_type());
    if (lines.n() <= 16) return f(D, std::integral_constant<int, 16>(), std::false_type());
    if (lines.n() <= 32) return f(D, std::integral_constant<int, 32>(), std::false_type());
    f(D, std::integral_constant<int, 64>(), std::false_type());
  };
  lines.D == 16 ? with_D(std::integral_constant<int, 16>()) : with_D(std::integral_constant<int, 32>());
}

inline void forward(const Attention<bf16>& a, bf16* y) {
  const Plan p(a.lines, 3);
  for_shape(a.lines, [&](auto D, auto K, auto map) {
    cuda::launch("manhattan_attention_forward", forward_kernel<D, K, map>, dim3(unsigned(p.blocks)), dim3(unsigned(32 * p.warps * p.units)), p.bytes, a, p.n,
                 p.padded, p.warps, y);
  });
}

inline void backward(const Attention<bf16>& a, bf16* dq, bf16* dk, bf16* dv) {
  const Plan p(a.lines, 4);
  for_shape(a.lines, [&](auto D, auto K, auto map) {
    cuda::launch("manhattan_attention_backward", backward_kernel<D, K, map>, dim3(unsigned(p.blocks)), dim3(unsigned(32 * p.warps * p.units)), p.bytes, a, p.n,
                 p.padded, p.warps, dq, dk, dv);
  });
}

}  // namespace rmt::gpu::tensor_cores
