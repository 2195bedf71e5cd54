// The parts of tensor_cores.cuh: a unit's tiles in shared memory, and what a warp does with them.
//
// Products come in fragments of 16 x 8 numbers, spread over a warp: lane 4 g + t holds four of
// them,
//
//     e = 0, 1     columns 2t, 2t + 1 of row g             row of e:     g + 8 (e / 2)
//     e = 2, 3     columns 2t, 2t + 1 of row g + 8         column of e:  2t + e % 2
//
// (core/cuda/ptx.h draws it). A warp has 16 rows of scores and K columns at a time, K / 8
// fragments.
#pragma once
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/ptx.h"
#include "core/cuda/warp.cuh"
#include "ops/attention/gpu.cuh"

namespace rmt::gpu::tensor_cores {

using cuda::Pack;
// 8 bf16, in pairs: the first of a pair is the lower half of its word.
using Eight = Pack<uint32_t, 4>;
using Fragment = float[4];

// A block's shared memory: for each unit its tiles of q', k', v (and dy), (padded, D) each; then
// two numbers for each row of a unit's scores; then x, y of the map's positions.
template <int D>
struct BlockMemory {
  // Rows are longer by 16 bytes, so that 8 of them lie in all banks.
  static constexpr int ld = D + 8;
  bf16* tiles;
  int unit_size;  // numbers of a unit's tiles, and a row between units for the same reason
  float* rows;    // (units, padded, 2)
  float* places;  // (padded, 2)

  __device__ BlockMemory(bf16* shared, int padded, int units, int tensors)
      : tiles(shared),
        unit_size(tensors * padded * ld + D),
        rows(reinterpret_cast<float*>(shared + units * unit_size)),
        places(rows + units * 2 * padded) {}
};

// --- filling the tiles ---

// x (8 channels of a position), times factor, turned by the position's angles; zeros unless
// `there`.
__device__ __forceinline__ Eight rotated(Eight x, const Pack<float, 8>& angles, float factor,
                                         bool there) {
  unrolled<4>([&](int c) {
    float x0 = factor * __uint_as_float(x.at[c] << 16);
    float x1 = factor * __uint_as_float(x.at[c] & 0xffff0000u);
    rotate(x0, x1, angles.at[2 * c], angles.at[2 * c + 1]);
    x.at[c] = there ? ptx::pack_bf16(x0, x1) : 0;
  });
  return x;
}

// The block's tiles q', k', v (and dy). q' has the factor D^-1/2 log2(e). A thread takes 8 channels
// of every so many positions, neighbours take neighbouring channels and heads. Threads without a
// position of their own read the line's last and write zeros: no branch keeps a thread's loads from
// being under way together.
template <int D, int tensors>
__device__ __forceinline__ void load_tiles(const Attention<bf16>& a, const BlockMemory<D>& memory,
                                           int n, int padded, int units) {
  constexpr int ld = BlockMemory<D>::ld, kBatch = D / 16;
  const int across = units * (D / 8), column = int(threadIdx.x) % across;
  const int local = column / (D / 8), c = column % (D / 8) * 8;
  const int first = int(threadIdx.x) / across, step = int(blockDim.x) / across;
  const int64_t number = int64_t(blockIdx.x) * units + local, last = a.lines.units() - 1;
  const UnitOf<bf16> unit(a, min(number, last));
  const int step_of_line = int(unit.step), angle_stride = int(unit.angle_stride);
  const int live = number <= last ? n : 0;
  const int64_t start = unit.head * D + c;
  // Where position i has the channels of ours.
  const auto at = [&](const bf16* x, int64_t stride, int i) {
    return x + (unit.position + min(i, n - 1) * step_of_line) * stride + start;
  };
  bf16* tile = memory.tiles + local * memory.unit_size + c;
  bf16 *tq = tile, *tk = tile + padded * ld, *tv = tile + 2 * padded * ld;
  bf16* tdy = tile + 3 * padded * ld;

  // v and dy as they are, without passing through registers.
  for (int i = first; i < padded; i += step) {
    ptx::cp_async_16(tv + i * ld, at(a.v, a.v_stride, i), i < live);
    if constexpr (tensors == 4) ptx::cp_async_16(tdy + i * ld, at(a.dy, a.y_stride, i), i < live);
  }
  ptx::cp_async_commit();

  // q and k through registers, kBatch positions at a time.
  const float factor = float(kLog2e) * rsqrtf(float(D));
  for (int i = first; i < padded; i += kBatch * step) {
    Eight q[kBatch], k[kBatch];
    Pack<float, 8> angles[kBatch];
    unrolled<kBatch>([&](int b) {
      q[b] = *reinterpret_cast<const Eight*>(at(a.q, a.qk_stride, i + b * step));
      k[b] = *reinterpret_cast<const Eight*>(at(a.k, a.qk_stride, i + b * step));
      angles[b] = {1, 0, 1, 0, 1, 0, 1, 0};
    });
    if (unit.angles)
      unrolled<kBatch>([&](int b) {
        using Four = Pack<float, 4>;
        const float* from = unit.angles + c + min(i + b * step, n - 1) * angle_stride;
        Four* to = reinterpret_cast<Four*>(angles[b].at);
        to[0] = reinterpret_cast<const Four*>(from)[0];
        to[1] = reinterpret_cast<const Four*>(from)[1];
      });
    unrolled<kBatch>([&](int b) {
      const int j = i + b * step;
      if (j >= padded) return;
      *reinterpret_cast<Eight*>(tq + j * ld) = rotated(q[b], angles[b], factor, j < live);
      *reinterpret_cast<Eight*>(tk + j * ld) = rotated(k[b], angles[b], 1, j < live);
    });
  }
}

// Writes down the coordinates of a map's positions, and waits for the tiles.
template <int D, bool map>
__device__ __forceinline__ void finish_loading(const BlockMemory<D>& memory, int padded,
                                               int width) {
  if constexpr (map)
    for (int i = int(threadIdx.x); i < padded; i += int(blockDim.x)) {
      memory.places[2 * i] = float(i % width);
      memory.places[2 * i + 1] = float(i / width);
    }
  ptx::cp_async_wait<0>();
  __syncthreads();
}

// --- products of a warp ---

// 16 rows of a tile as the left factor of mma.
template <int D>
__device__ __forceinline__ void load_rows(uint32_t (&a)[D / 16][4], const bf16* tile) {
  const int lane = int(threadIdx.x) % 32;
  unrolled<D / 16>([&](int s) {
    ptx::ldmatrix_x4(a[s], tile + lane % 16 * BlockMemory<D>::ld + s * 16 + lane / 16 * 8);
  });
}

// left, right (16, 8 each) += the columns 0 to 7 and 8 to 15 of a b^T, for 16 rows b of a tile.
template <int D>
__device__ __forceinline__ void multiply_transposed(Fragment& left, Fragment& right,
                                                    const uint32_t (&a)[D / 16][4], const bf16* b) {
  const int lane = int(threadIdx.x) % 32, row = lane / 16 * 8 + lane % 8;
  unrolled<D / 16>([&](int s) {
    uint32_t r[4];
    ptx::ldmatrix_x4(r, b + row * BlockMemory<D>::ld + s * 16 + lane / 8 % 2 * 8);
    ptx::mma_m16n8k16(left, a[s], {r[0], r[1]});
    ptx::mma_m16n8k16(right, a[s], {r[2], r[3]});
  });
}

// out (16, D) += p b for p (16, 16), given as its left and right half, and 16 rows b of a tile. p
// is rounded to bf16.
template <int D>
__device__ __forceinline__ void multiply(Fragment (&out)[D / 8], const Fragment& left,
                                         const Fragment& right, const bf16* b) {
  const int lane = int(threadIdx.x) % 32;
  const uint32_t p[4] = {ptx::pack_bf16(left[0], left[1]), ptx::pack_bf16(left[2], left[3]),
                         ptx::pack_bf16(right[0], right[1]), ptx::pack_bf16(right[2], right[3])};
  unrolled<D / 16>([&](int s) {
    uint32_t r[4];
    ptx::ldmatrix_x4_trans(r, b + lane % 16 * BlockMemory<D>::ld + s * 16 + lane / 16 * 8);
    ptx::mma_m16n8k16(out[2 * s], p, {r[0], r[1]});
    ptx::mma_m16n8k16(out[2 * s + 1], p, {r[2], r[3]});
  });
}

// x_u of lane 4 g + t -> x_t of lane 4 g + u: two rounds of exchanges between lanes, the first with
// the neighbour, the second with the one after that.
__device__ __forceinline__ void transpose_quad(uint32_t (&x)[4]) {
  unrolled<2>([&](int round) {
    const int bit = 1 << round;
    const bool upper = threadIdx.x & bit;
    unrolled<4>([&](int u) {
      if (u & bit) return;
      const uint32_t other = __shfl_xor_sync(cuda::kFullWarp, upper ? x[u] : x[u + bit], bit);
      (upper ? x[u] : x[u + bit]) = other;
    });
  });
}

// --- a warp's scores ---

// A warp works on 16 rows of one unit's scores at a time. `map`: the line is a whole map, whose
// distances have two parts.
template <int D, bool map>
struct Warp {
  static constexpr int ld = BlockMemory<D>::ld;
  const int n, g, t;
  const int writes;  // positions that are to be written: n, or none behind the last unit
  const UnitOf<bf16> unit;
  const int angle_stride;
  const float* places;
  float x[2], y[2];  // of the positions of rows g and g + 8

  __device__ Warp(const Attention<bf16>& a, const BlockMemory<D>& memory, int positions,
                  int64_t number)
      : n(positions),
        g(int(threadIdx.x) % 32 / 4),
        t(int(threadIdx.x) % 4),
        writes(number < a.lines.units() ? n : 0),
        unit(a, min(number, a.lines.units() - 1)),
        angle_stride(int(unit.angle_stride)),
        places(memory.places) {}

  // The warp's rows are the positions i0 ... i0 + 15.
  __device__ void set_rows(int i0) {
    unrolled<2>([&](int r) {
      const int i = i0 + g + 8 * r;
      if constexpr (map) {
        x[r] = places[2 * i];
        y[r] = places[2 * i + 1];
      } else {
        x[r] = float(i);
      }
    });
  }

  // s += decay d, for the columns j0 ... j0 + 7.
  __device__ void add_decay(Fragment& s, int j0) const {
    Pack<float, 4> at;  // x, y of our two columns
    if constexpr (map) {
      at = *reinterpret_cast<const Pack<float, 4>*>(places + 2 * (j0 + 2 * t));
    } else {
      at.at[0] = float(j0 + 2 * t);
      at.at[2] = at.at[0] + 1;
    }
    unrolled<4>([&](int e) {
      float d = fabsf(x[e / 2] - at.at[e % 2 * 2]);
      if constexpr (map) d += fabsf(y[e / 2] - at.at[e % 2 * 2 + 1]);
      s[e] += unit.decay * d;
    });
  }

  // Columns that are padding get no weight.
  __device__ void mask(Fragment& s, int j0) const {
    if (j0 + 8 <= n) return;
    unrolled<4>([&](int e) {
      if (j0 + 2 * t + e % 2 >= n) s[e] = -INFINITY;
    });
  }

  // s = S log2(e) + decay d of 16 queries and the keys j0 ... j0 + K - 1.
  template <int K>
  __device__ __forceinline__ void scores(Fragment (&s)[K / 8], const bf16* queries,
                                         const bf16* keys, int j0) const {
    uint32_t q[D / 16][4];
    load_rows<D>(q, queries);
    unrolled<K / 8>([&](int m) { unrolled<4>([&](int e) { s[m][e] = 0; }); });
#pragma unroll
    for (int m = 0; m < K / 8; m += 2) {
      const int j = j0 + 8 * m;
      if (j >= n) break;
      multiply_transposed<D>(s[m], s[m + 1], q, keys + j * ld);
      add_decay(s[m], j);
      mask(s[m], j);
      add_decay(s[m + 1], j + 8);
      mask(s[m + 1], j + 8);
    }
  }

  // One step of the online softmax (ops/attention/README.md): s -> 2^(s - most) with the largest
  // score of each row so far. What was summed up over earlier columns must be multiplied by `keep`.
  template <int K>
  __device__ __forceinline__ void online_softmax_step(Fragment (&s)[K / 8], int j0,
                                                      float (&most)[2], float (&keep)[2]) const {
    float top[2] = {most[0], most[1]};
#pragma unroll
    for (int m = 0; m < K / 8; ++m) {
      if (j0 + 8 * m >= n) break;
      unrolled<4>([&](int e) { top[e / 2] = fmaxf(top[e / 2], s[m][e]); });
    }
    unrolled<2>([&](int r) {
      top[r] = cuda::warp_max<4>(top[r]);
      keep[r] = ptx::exp2_approx(most[r] - top[r]);
      most[r] = top[r];
    });
    unrolled<K / 8>([&](int m) {
      if (j0 + 8 * m < n)
        unrolled<4>([&](int e) { s[m][e] = ptx::exp2_approx(s[m][e] - top[e / 2]); });
      else
        unrolled<4>([&](int e) { s[m][e] = 0; });
    });
  }

  // --- writing results ---

  // Position i's channels.
  __device__ bf16* at(bf16* x, int64_t stride, int i) const {
    return x + (unit.position + i * unit.step) * stride + unit.head * D;
  }

  // out += the numbers of x at the positions i0 ... i0 + 15.
  __device__ void add_present(bf16* x, int64_t stride, Fragment (&out)[D / 8], int i0) const {
    unrolled<2>([&](int r) {
      const int i = i0 + g + 8 * r;
      if (i >= writes) return;
      const auto* pairs = reinterpret_cast<const uint32_t*>(at(x, stride, i)) + t;
      unrolled<D / 8>([&](int m) {
        out[m][2 * r] += __uint_as_float(pairs[4 * m] << 16);
        out[m][2 * r + 1] += __uint_as_float(pairs[4 * m] & 0xffff0000u);
      });
    });
  }

  // Turns channels 2t, 2t + 1 of each 8 back by the angles of the rows' positions.
  __device__ void rotate_back(Fragment (&out)[D / 8], int i0) const {
    if (!unit.angles) return;
    unrolled<2>([&](int r) {
      const float* row = unit.angles + min(i0 + g + 8 * r, n - 1) * angle_stride;
      const auto* angles = reinterpret_cast<const Pack<float, 2>*>(row) + t;
      unrolled<D / 8>([&](int m) {
        const Pack<float, 2> angle = angles[4 * m];
        rotate(out[m][2 * r], out[m][2 * r + 1], angle.at[0], -angle.at[1]);
      });
    });
  }

  // to (to_stride numbers from a position to the next) = out for the positions i0 ... i0 + 15, rows
  // g times f0 and rows g + 8 times f1; with `add`, to += that. The four lanes of a row exchange
  // their pairs of channels until each has 8 neighbours to write.
  __device__ void store(bf16* to, int64_t to_stride, Fragment (&out)[D / 8], int i0, float f0,
                        float f1, bool add = false) const {
    unrolled<D / 2>([&](int e) { out[e / 4][e % 4] *= e % 4 < 2 ? f0 : f1; });
    if (add) add_present(to, to_stride, out, i0);
    uint32_t pairs[D / 4];  // row r, channels 8 m + 2t: number r D / 8 + m
    unrolled<D / 8>([&](int m) {
      pairs[m] = ptx::pack_bf16(out[m][0], out[m][1]);
      pairs[D / 8 + m] = ptx::pack_bf16(out[m][2], out[m][3]);
    });
    unrolled<D / 16>([&](int quad) {
      const int b = 4 * quad;
      uint32_t four[4] = {pairs[b], pairs[b + 1], pairs[b + 2], pairs[b + 3]};
      transpose_quad(four);
      const int number = b + t, i = i0 + g + 8 * (number / (D / 8));
      bf16* here = at(to, to_stride, i) + number % (D / 8) * 8;
      if (i < writes) *reinterpret_cast<Eight*>(here) = {four[0], four[1], four[2], four[3]};
    });
  }
};

}  // namespace rmt::gpu::tensor_cores
