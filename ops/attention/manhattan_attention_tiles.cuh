// A line's tiles in shared memory, and what a warp does with them on tensor cores:
// manhattan_attention_mma.cuh's parts. Lane 4 g + t of a warp holds, of each 16 x 8 numbers of a
// product, columns 2t, 2t + 1 of rows g and g + 8 (core/cuda/ptx.h).
#pragma once
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/ptx.h"
#include "core/cuda/warp.cuh"
#include "ops/attention/manhattan_attention.cuh"

namespace rmt::gpu::tensor_cores {

using cuda::Pack;
using Eight = Pack<uint32_t, 4>;  // bf16, the first in the lower half of the first

// A block's shared memory: tiles (padded, ld) of each unit, then two numbers of each row of a
// unit's scores, then x, y of the map's positions.
template <int D>
struct Memory {
  static constexpr int ld = D + 8;  // 16 bytes more than a row, so that 8 rows lie in all banks
  bf16* tiles;
  int unit;  // numbers of a unit's tiles, with a row between units for the same reason
  float *rows, *places;

  __device__ Memory(bf16* shared, int padded, int units, int tensors)
      : tiles(shared),
        unit(tensors * padded * ld + D),
        rows(reinterpret_cast<float*>(shared + units * unit)),
        places(rows + units * 2 * padded) {}
};

// x (8 channels of a position), times factor, turned by the position's angles; zeros unless `there`
__device__ __forceinline__ Eight turned(Eight x, const Pack<float, 8>& angles, float factor,
                                        bool there) {
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    float x0 = factor * __uint_as_float(x.at[c] << 16),
          x1 = factor * __uint_as_float(x.at[c] & 0xffff0000u);
    rotate(x0, x1, angles.at[2 * c], angles.at[2 * c + 1]);
    x.at[c] = there ? ptx::pack_bf16(x0, x1) : 0;
  }
  return x;
}

// Fills the tiles q', k', v (and dy) of all units of the block, neighbouring threads with
// neighbouring channels and heads. q' has the factor D^-1/2 log2(e). Threads without a position of
// their own read the line's last and write zeros: no branch keeps a thread's loads from being under
// way together.
template <int D, int tensors>
__device__ __forceinline__ void load_tiles(const Attention<bf16>& a, const Memory<D>& memory, int n,
                                           int padded, int units) {
  constexpr int ld = Memory<D>::ld, kBatch = D / 16;
  const int across = units * (D / 8), column = int(threadIdx.x) % across, local = column / (D / 8),
            c = column % (D / 8) * 8;
  const int first = int(threadIdx.x) / across, step = int(blockDim.x) / across;
  const int64_t unit = int64_t(blockIdx.x) * units + local,
                last = a.lines.count() * a.lines.heads - 1;
  const Head<bf16> head(a, min(unit, last));
  const int stride = int(head.stride), table_stride = int(head.table_stride),
            live = unit <= last ? n : 0;
  bf16* tile = memory.tiles + local * memory.unit + c;
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
      q[b] = *reinterpret_cast<const Eight*>(a.q + at),
      k[b] = *reinterpret_cast<const Eight*>(a.k + at);
      angles[b] = {1, 0, 1, 0, 1, 0, 1, 0};
    }
    if (head.table)
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        const auto* from = reinterpret_cast<const Pack<float, 4>*>(
            head.table + c + min(i + b * step, n - 1) * table_stride);
        *reinterpret_cast<Pack<float, 4>*>(angles[b].at) = from[0],
                                      *reinterpret_cast<Pack<float, 4>*>(angles[b].at + 4) =
                                          from[1];
      }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int j = i + b * step;
      if (j >= padded) break;
      *reinterpret_cast<Eight*>(tile + j * ld) = turned(q[b], angles[b], factor, j < live);
      *reinterpret_cast<Eight*>(tile + (padded + j) * ld) = turned(k[b], angles[b], 1, j < live);
    }
  }
}

// 16 rows of a tile as the left factor of mma
template <int D>
__device__ __forceinline__ void load_rows(uint32_t (&a)[D / 16][4], const bf16* tile) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int s = 0; s < D / 16; ++s)
    ptx::ldmatrix_x4(a[s], tile + lane % 16 * Memory<D>::ld + s * 16 + lane / 16 * 8);
}

// s (16, 16) += a b^T for 16 rows b of a tile;  s is two of mma's results, 8 columns each
template <int D>
__device__ __forceinline__ void multiply_transposed(float (&s0)[4], float (&s1)[4],
                                                    const uint32_t (&a)[D / 16][4], const bf16* b) {
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
__device__ __forceinline__ void multiply(float (&out)[D / 8][4], const float (&p0)[4],
                                         const float (&p1)[4], const bf16* b) {
  const int lane = int(threadIdx.x) % 32;
  const uint32_t a[4] = {ptx::pack_bf16(p0[0], p0[1]), ptx::pack_bf16(p0[2], p0[3]),
                         ptx::pack_bf16(p1[0], p1[1]), ptx::pack_bf16(p1[2], p1[3])};
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
  const int writes;  // how many positions this warp has to write: n, or none behind the last unit
  const Head<bf16> head;
  const int stride, table_stride;
  const float* places;
  float x[2], y[2];  // of the positions of rows g and g + 8

  __device__ Warp(const Attention<bf16>& a, const Memory<D>& memory, int positions, int64_t unit,
                  int64_t units)
      : n(positions),
        g(int(threadIdx.x) % 32 / 4),
        t(int(threadIdx.x) % 4),
        writes(unit < units ? n : 0),
        head(a, min(unit, units - 1)),
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
  __device__ __forceinline__ void scores(float (&s)[K / 8][4], const bf16* queries,
                                         const bf16* keys, int j0) const {
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

  // s -> 2^(s - most), raising the rows' maxima; what was summed over earlier columns is to be
  // multiplied by `keep`
  template <int K>
  __device__ __forceinline__ void exponentials(float (&s)[K / 8][4], int j0, float (&most)[2],
                                               float (&keep)[2]) const {
    float top[2] = {most[0], most[1]};
#pragma unroll
    for (int m = 0; m < K / 8; ++m) {
      if (j0 + 8 * m >= n) break;
#pragma unroll
      for (int e = 0; e < 4; ++e) top[e / 2] = fmaxf(top[e / 2], s[m][e]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r)
      top[r] = cuda::warp_max<4>(top[r]), keep[r] = ptx::exp2_approx(most[r] - top[r]),
      most[r] = top[r];
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
      const auto* angles = reinterpret_cast<const Pack<float, 2>*>(
                               head.table + min(i0 + g + 8 * r, n - 1) * table_stride) +
                           t;
#pragma unroll
      for (int m = 0; m < D / 8; ++m) {
        const Pack<float, 2> angle = angles[4 * m];
        rotate(out[m][2 * r], out[m][2 * r + 1], angle.at[0], -angle.at[1]);
      }
    }
  }

  // to = factor_r out for the rows i0 + g + 8 r. The four lanes of a row exchange their pairs of
  // channels until each has 8 neighbours to write.
  __device__ void store(bf16* to, const float (&out)[D / 8][4], int i0, float f0, float f1) const {
    uint32_t pairs[D / 4];  // row r, channels 8 m + 2t: number r D / 8 + m
#pragma unroll
    for (int m = 0; m < D / 8; ++m)
      pairs[m] = ptx::pack_bf16(f0 * out[m][0], f0 * out[m][1]),
      pairs[D / 8 + m] = ptx::pack_bf16(f1 * out[m][2], f1 * out[m][3]);
#pragma unroll
    for (int b = 0; b < D / 4; b += 4) {
      uint32_t four[4] = {pairs[b], pairs[b + 1], pairs[b + 2], pairs[b + 3]};
      transpose_quad(four);
      const int number = b + t, i = i0 + g + 8 * (number / (D / 8));
      if (i < writes)
        *reinterpret_cast<Eight*>(to + head.at + i * stride + number % (D / 8) * 8) = {
            four[0], four[1], four[2], four[3]};
    }
  }
};

// Writes down the coordinates of a map's positions, and waits for the tiles.
template <int D, bool map>
__device__ __forceinline__ void finish_loading(const Memory<D>& memory, int padded, int width) {
  if constexpr (map)
    for (int i = int(threadIdx.x); i < padded; i += int(blockDim.x))
      memory.places[2 * i] = float(i % width), memory.places[2 * i + 1] = float(i / width);
  ptx::cp_async_wait<0>();
  __syncthreads();
}

}  // namespace rmt::gpu::tensor_cores
