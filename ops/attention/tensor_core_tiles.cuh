// The parts of tensor_cores.cuh: tiles in shared memory, and what a warp does with them.
//
// To build another kernel of them: a tile is any number of rows of D numbers in shared memory, each
// `ld` numbers behind the one before; ld counts in units of 8 (16 bytes), and D + 8 keeps 8 rows in
// all banks. For the columns of a map that lies whole in shared memory let ld be W (D + 8). Then
// for 16 rows of scores at a time
//
//    Warp<D, N, map> w(n, decay, places);   N = n if it is known at compile time, else 0
//    load_rows<D>(q, tile + i0 ld, ld);     16 rows of q' as the left factor
//    w.set_rows(i0);
//    w.scores(s, q, tile_k + j ld, ld, j, offset);    16 x 16 of S + decay d - offset, in log 2
//    w.exponentials(s, j);  round(p, s);              P = 2^s, rounded
//    multiply<D>(out, p, tile_v + j ld, ld);          out += P v
//
// All 32 lanes of a warp call everything together. Scores of columns behind n are -inf, so what
// lies there in k and v may be anything finite; q, k and v are read in rows up to the next multiple
// of 16 behind n.
//
// Products come in fragments of 16 x 8 numbers, spread over a warp: lane 4 g + t holds four of
// them,
//
//     e = 0, 1     columns 2t, 2t + 1 of row g             row of e:     g + 8 (e / 2)
//     e = 2, 3     columns 2t, 2t + 1 of row g + 8         column of e:  2t + e % 2
//
// (core/cuda/ptx.h draws it).
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
// 16 x 16 numbers as the left factor of a product: a fragment and the one to its right, in bf16.
using Left = uint32_t[4];

// The calling thread's number in a block of any shape, and in its warp.
__device__ __forceinline__ int thread_of_block() {
  return int(threadIdx.y * blockDim.x + threadIdx.x);
}
__device__ __forceinline__ int lane_of_warp() { return thread_of_block() % 32; }

__device__ __forceinline__ float low_half(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_half(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

// --- filling tiles ---

// 8 channels of a position turned by its angles.
__device__ __forceinline__ Eight rotated(Eight x, const Pack<float, 8>& angles) {
  unrolled<4>([&](int c) {
    float x0 = low_half(x.at[c]), x1 = high_half(x.at[c]);
    rotate(x0, x1, angles.at[2 * c], angles.at[2 * c + 1]);
    x.at[c] = ptx::pack_bf16(x0, x1);
  });
  return x;
}

// 8 cosines and sines in turn; of no rotation where there is no table.
__device__ __forceinline__ Pack<float, 8> angles_at(const float* rotary, int64_t offset) {
  Pack<float, 8> angles = {1, 0, 1, 0, 1, 0, 1, 0};
  if (rotary) {
    using Four = Pack<float, 4>;
    const Four* from = reinterpret_cast<const Four*>(rotary + offset);
    reinterpret_cast<Four*>(angles.at)[0] = from[0];
    reinterpret_cast<Four*>(angles.at)[1] = from[1];
  }
  return angles;
}

// Writes q' and k' of 8 channels of a position: q' = D^-1/2 log2(e) R q, k' = R k.
template <int D>
__device__ __forceinline__ void store_rotated(bf16* tq, bf16* tk, const Eight& q, const Eight& k,
                                              Pack<float, 8> angles) {
  *reinterpret_cast<Eight*>(tk) = rotated(k, angles);
  const float factor = float(kLog2e) * rsqrtf(float(D));
  unrolled<8>([&](int c) { angles.at[c] *= factor; });
  *reinterpret_cast<Eight*>(tq) = rotated(q, angles);
}

// --- products of a warp ---

// 16 rows of a tile as left factors, 16 channels each.
template <int D>
__device__ __forceinline__ void load_rows(Left (&a)[D / 16], const bf16* tile, int ld) {
  const int lane = lane_of_warp();
  unrolled<D / 16>(
      [&](int s) { ptx::ldmatrix_x4(a[s], tile + lane % 16 * ld + lane / 16 * 8 + s * 16); });
}

// s[0], s[1] = left, right + the columns 0 to 7 and 8 to 15 of a b^T, for 16 rows b of a tile; with
// `half` only s[0], for 8 rows.
template <int D>
__device__ __forceinline__ void multiply_transposed(Fragment (&s)[2], const Fragment& left,
                                                    const Fragment& right, const Left (&a)[D / 16],
                                                    const bf16* b, int ld, bool half = false) {
  const int lane = lane_of_warp(), row = lane / 16 * 8 + lane % 8;
  unrolled<D / 16>([&](int c) {
    uint32_t r[4];
    ptx::ldmatrix_x4(r, b + row * ld + lane / 8 % 2 * 8 + c * 16);
    const auto add = [&](Fragment& to, const Fragment& begin, const uint32_t(&b_of_c)[2]) {
      c ? ptx::mma_m16n8k16(to, a[c], b_of_c) : ptx::mma_m16n8k16(to, a[c], b_of_c, begin);
    };
    add(s[0], left, {r[0], r[1]});
    if (!half) add(s[1], right, {r[2], r[3]});
  });
}

// out (16, D) += p b for p (16, 16) and 16 rows b of a tile.
template <int D>
__device__ __forceinline__ void multiply(Fragment (&out)[D / 8], const Left& p, const bf16* b,
                                         int ld) {
  const int lane = lane_of_warp();
  unrolled<D / 16>([&](int c) {
    uint32_t r[4];
    ptx::ldmatrix_x4_trans(r, b + lane % 16 * ld + lane / 16 * 8 + c * 16);
    ptx::mma_m16n8k16(out[2 * c], p, {r[0], r[1]});
    ptx::mma_m16n8k16(out[2 * c + 1], p, {r[2], r[3]});
  });
}

// sum += the sums of p's rows: sum[0] of row g, sum[2] of row g + 8, the same in all lanes t.
__device__ __forceinline__ void add_rows(Fragment& sum, const Left& p) {
  constexpr uint32_t kOnes = 0x3f803f80;
  ptx::mma_m16n8k16(sum, p, {kOnes, kOnes});
}

// p = s rounded to bf16; with `half` the right half is zero.
__device__ __forceinline__ void round(Left& p, const Fragment (&s)[2], bool half = false) {
  p[0] = ptx::pack_bf16(s[0][0], s[0][1]);
  p[1] = ptx::pack_bf16(s[0][2], s[0][3]);
  p[2] = half ? 0 : ptx::pack_bf16(s[1][0], s[1][1]);
  p[3] = half ? 0 : ptx::pack_bf16(s[1][2], s[1][3]);
}

// p = the products of s (left, right) and g, number by number, likewise.
__device__ __forceinline__ void round_product(Left& p, const Fragment& left, const Fragment& right,
                                              const Fragment (&g)[2], bool half = false) {
  p[0] = ptx::pack_bf16(left[0] * g[0][0], left[1] * g[0][1]);
  p[1] = ptx::pack_bf16(left[2] * g[0][2], left[3] * g[0][3]);
  p[2] = half ? 0 : ptx::pack_bf16(right[0] * g[1][0], right[1] * g[1][1]);
  p[3] = half ? 0 : ptx::pack_bf16(right[2] * g[1][2], right[3] * g[1][3]);
}

// --- a warp's scores ---

// A warp works on 16 rows of one unit's scores at a time, 16 columns after another. N: the line's
// positions if they are known at compile time, else 0. `map`: the line is a whole map, whose
// distances have two parts. decay <= 0 is in units of log 2.
template <int D, int N, bool map>
struct Warp {
  const int length;  // n, if N is 0
  const int g, t;
  const float decay;
  const float* places;  // x, y of the map's positions, up to the next multiple of 16
  float x[2], y[2];     // of the rows g and g + 8; on a line x = decay (i - 2t)

  __device__ Warp(int positions, float decay_of_head, const float* places_of_map)
      : length(positions),
        g(lane_of_warp() / 4),
        t(lane_of_warp() % 4),
        decay(decay_of_head),
        places(places_of_map) {}

  __device__ __forceinline__ int n() const { return N ? N : length; }
  // Of the columns j to j + 15 only the first 8 exist, as is known at compile time.
  __device__ __forceinline__ static bool half(int j) { return N && j + 8 >= N; }

  // f(j) for the columns j, j + 1, ..., j + 15 of each step.
  template <class F>
  __device__ __forceinline__ void for_columns(const F& f) const {
    if constexpr (N > 0)
      unrolled<(N + 15) / 16>([&](int m) { f(16 * m); });
    else
      for (int j = 0; j < length; j += 16) f(j);
  }

  // The warp's rows are the positions i0 ... i0 + 15.
  __device__ __forceinline__ void set_rows(int i0) {
    unrolled<2>([&](int r) {
      const int i = i0 + g + 8 * r;
      if constexpr (map) {
        x[r] = places[2 * i];
        y[r] = places[2 * i + 1];
      } else {
        x[r] = decay * float(i - 2 * t);
      }
    });
  }

  // c_e = decay d - offset(e), for the columns j to j + 7. On a line |decay (i - j)| is a product
  // and a sum, and its sign comes with the next sum.
  template <class F>
  __device__ __forceinline__ void start(Fragment& c, int j, const F& offset) const {
    if constexpr (map) {
      const auto at = *reinterpret_cast<const Pack<float, 4>*>(places + 2 * (j + 2 * t));
      unrolled<4>([&](int e) {
        const float d = fabsf(x[e / 2] - at.at[e % 2 * 2]) + fabsf(y[e / 2] - at.at[e % 2 * 2 + 1]);
        c[e] = decay * d - offset(e);
      });
    } else {
      unrolled<4>([&](int e) { c[e] = -fabsf(x[e / 2] - decay * float(j + e % 2)) - offset(e); });
    }
  }

  // Columns that do not exist get no weight.
  __device__ __forceinline__ void mask(Fragment& c, int j) const {
    if (j + 8 <= n()) return;
    unrolled<4>([&](int e) {
      if (j + 2 * t + e % 2 >= n()) c[e] = -INFINITY;
    });
  }

  // s = S log2(e) + decay d - offset of 16 queries and the keys j to j + 15.
  __device__ __forceinline__ void scores(Fragment (&s)[2], const Left (&q)[D / 16],
                                         const bf16* keys, int ld, int j,
                                         const float (&offset)[2]) const {
    unrolled<2>([&](int h) {
      if (h && half(j)) return;
      start(s[h], j + 8 * h, [&](int e) { return offset[e / 2]; });
      mask(s[h], j + 8 * h);
    });
    multiply_transposed<D>(s, s[0], s[1], q, keys, ld, half(j));
  }

  // s -> 2^s.
  __device__ __forceinline__ void exponentials(Fragment (&s)[2], int j) const {
    unrolled<8>([&](int e) {
      if (e < 4 || !half(j)) s[e / 4][e % 4] = ptx::exp2_approx(s[e / 4][e % 4]);
    });
  }

  // The largest score of each of our rows.
  __device__ __forceinline__ void find_most(float (&most)[2], const Left (&q)[D / 16],
                                            const bf16* keys, int ld) const {
    const float none[2] = {0, 0};
    float top[2] = {-INFINITY, -INFINITY};
#pragma unroll 1
    for (int j = 0; j < n(); j += 16) {
      Fragment s[2] = {{-INFINITY, -INFINITY, -INFINITY, -INFINITY},
                       {-INFINITY, -INFINITY, -INFINITY, -INFINITY}};
      scores(s, q, keys + j * ld, ld, j, none);
      unrolled<8>([&](int e) { top[e % 4 / 2] = fmaxf(top[e % 4 / 2], s[e / 4][e % 4]); });
    }
    unrolled<2>([&](int r) { most[r] = cuda::warp_max<4>(top[r]); });
  }
};

// Softmax without the row's maximum: 2^s and its sum are as exact without it, unless they overflow
// or vanish. Scores are small, so that is rare, and the sum shows it. Are the warp's sums fine?
__device__ __forceinline__ bool sums_are_fine(const Fragment& sum) {
  const auto fine = [](float x) { return x > 0x1p-64f && x < 0x1p64f; };
  return __all_sync(cuda::kFullWarp, fine(sum[0]) && fine(sum[2]));
}

}  // namespace rmt::gpu::tensor_cores
