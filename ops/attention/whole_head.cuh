// One head of one image whole in shared memory, for packed_attention in bf16 on maps so small that
// its tensors fit: the tiles, and how they are filled and multiplied. The kernels are in
// whole_head_forward.cuh and whole_head_backward.cuh.
//
// A tile holds D = 32 channels, 64 bytes, of each position (x, y) of the map, in its row
// y pitch + x; the last row is zeros, which lines read where they are padded to 16 positions.
//
//     x    0       1       2       3       4              of a row: 4 chunks of 8 channels,
//   y 0   row 0   row 1   row 2   row 3   (unused)        in the order chunk ^ turn,
//     1   row 5   row 6   row 7   row 8   (unused)        turn = (x / 2 + y / 2) % 4
//     2   row 10  row 11  ...
//
// pitch is odd. So 8 neighbours of a row of the map, and 8 of a column, have one of the 8 chunks
// each that a cycle of shared memory serves: both passes read without conflicts.
#pragma once
#include "core/cuda/elementwise.cuh"
#include "core/cuda/ptx.h"
#include "core/cuda/warp.cuh"
#include "ops/attention/gpu.cuh"

namespace rmt::gpu::whole_head {

using cuda::Pack;
using Eight = Pack<uint32_t, 4>;  // 8 bf16: the first of a pair is the lower half of its word
using Fragment = float[4];        // a lane's part of 16 x 8 numbers (core/cuda/ptx.h)

constexpr int kD = 32, kTaps = 25;

// Are there kernels for such heads and filters, if the map fits? They count blocks, and numbers
// within an image, in 32 bits.
inline bool suits(const Lines& lines, int64_t k) {
  constexpr int64_t kMostHeads = 1 << 14;
  return lines.D == kD && lines.axis != ops::Axis::both && (k == 0 || k == 5) &&
         lines.mode != ops::DecayMode::post_multiply && lines.heads <= kMostHeads &&
         lines.B * lines.heads <= INT32_MAX;
}

// A map of up to kSide x kSide.
template <int kSide>
struct Shape {
  static constexpr int pitch = kSide | 1, zeros = kSide * pitch;  // zeros: the row of zeros
  static constexpr int tile = (zeros + 1) * kD;                   // numbers
  static constexpr int N = (kSide + 15) / 16 * 16;  // a line's positions, padded to parts of 16
  int H, W, heads;
  explicit Shape(const Lines& l) : H(int(l.H)), W(int(l.W)), heads(int(l.heads)) {}
};

// Where chunk `chunk` of a row lies, in numbers from the tile's first.
__device__ __forceinline__ int place(int row, int turn, int chunk) {
  return row * kD + ((turn ^ chunk) & 3) * 8;
}

// The block's head: place of its channels in a tensor (B, H, W, stride), at chunk 0 of position 0.
// A kernel whose registers are scarce asks again where it needs it.
struct Head {
  int head, image;
  __device__ explicit Head(int heads) {
    const int block = ptx::anew(int(blockIdx.x));
    image = block / heads;
    head = block - image * heads;
  }
  template <class S>
  __device__ int64_t first(const S& s, int64_t stride) const {
    return int64_t(image) * (s.H * s.W) * stride + head * kD;
  }
};

// --- between global memory and tiles: a warp to 8 neighbours of a row of the map ---

__device__ __forceinline__ void copy_eight(bf16* to, const bf16* from) {
  *reinterpret_cast<Eight*>(to) = *reinterpret_cast<const Eight*>(from);
}

// f(p, c, at) for the positions p of which the thread moves 8 channels, c ... c + 7 of the head: at
// is their place in a tile.
template <class S, class F>
__device__ __forceinline__ void for_chunks(const S& s, const F& f) {
  const int thread = int(threadIdx.x), chunk = thread % 4, x = thread % 32 / 4;
  for (int y = thread / 32; y < s.H; y += int(blockDim.x) / 32) {
    const int at = place(y * s.pitch + x, x / 2 + y / 2, chunk);
#pragma unroll 2
    for (int i = 0; i < S::N / 8; ++i)
      if (x + 8 * i < s.W) f(y * s.W + x + 8 * i, chunk * 8, at + 8 * i * kD);
  }
}

__device__ __forceinline__ Pack<float, 2> unpack(uint32_t word) {
  return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
}

// Cosines and sines of 4 pairs of channels of a position.
using Angles = Pack<float, 8>;
__device__ __forceinline__ Angles angles_of(const float* rotary, int p, int c) {
  if (!rotary) return {1, 0, 1, 0, 1, 0, 1, 0};
  const auto* from = reinterpret_cast<const Pack<float, 4>*>(rotary + p * kD + c);
  const Pack<float, 4> low = from[0], high = from[1];
  return {low.at[0],  low.at[1],  low.at[2],  low.at[3],
          high.at[0], high.at[1], high.at[2], high.at[3]};
}

__device__ __forceinline__ Eight turned(Eight x, const Angles& angles) {
  unrolled<4>([&](int c) {
    Pack<float, 2> pair = unpack(x.at[c]);
    rotate(pair.at[0], pair.at[1], angles.at[2 * c], angles.at[2 * c + 1]);
    x.at[c] = ptx::pack_bf16(pair.at[0], pair.at[1]);
  });
  return x;
}

// q' and k' are R q and R k times this, so that q' k'^T are scores in units of log 2.
__device__ __forceinline__ float score_factor() { return sqrtf(float(kLog2e) * rsqrtf(float(kD))); }

// The tiles q' and k', as for_chunks goes, two positions at a time.
template <class S>
__device__ __forceinline__ void load_rotated(const S& s, const bf16* q, const bf16* k, int stride,
                                             const float* rotary, bf16* tile_q, bf16* tile_k) {
  const int lane = int(threadIdx.x) % 32, c = lane % 4 * 8;
  constexpr int kBatch = S::N == 16 ? 2 : 1;
  const float factor = score_factor();
  for (int y = int(threadIdx.x) / 32; y < s.H; y += int(blockDim.x) / 32)
#pragma unroll 1
    for (int x = lane / 4; x < s.W; x += 8 * kBatch) {
      Eight own_q[kBatch], own_k[kBatch];
      Angles angles[kBatch];
      unrolled<kBatch>([&](int i) {
        const int p = y * s.W + min(x + 8 * i, s.W - 1);
        own_q[i] = *reinterpret_cast<const Eight*>(q + p * stride + c);
        own_k[i] = *reinterpret_cast<const Eight*>(k + p * stride + c);
        angles[i] = angles_of(rotary, p, c);
      });
      const int at = place(y * s.pitch + x, x / 2 + y / 2, c / 8);
      unrolled<kBatch>([&](int i) {
        if (x + 8 * i >= s.W) return;
        unrolled<8>([&](int a) { angles[i].at[a] *= factor; });
        *reinterpret_cast<Eight*>(tile_q + at + 8 * i * kD) = turned(own_q[i], angles[i]);
        *reinterpret_cast<Eight*>(tile_k + at + 8 * i * kD) = turned(own_k[i], angles[i]);
      });
    }
}

// Zeros into the last row of each of `count` tiles.
template <class S>
__device__ __forceinline__ void write_zeros(bf16* tiles, int count) {
  for (int i = int(threadIdx.x); i < count * 4; i += int(blockDim.x))
    *reinterpret_cast<Eight*>(tiles + (i / 4) * S::tile + place(S::zeros, 0, i % 4)) = {};
}

// --- lines ---

// Line number `line` along an axis, N positions of which n > N - 16 are there, and where
// a lane of a warp finds its part of 16 of them in any tile. A number here is that of channel 0 ...
// 15; that of 16 ... 31 is number ^ 16.
template <class S>
struct Line {
  static constexpr int N = S::N;
  int n, first, step, half;
  int rows[N / 16];     // as the lane's row lane % 16 of a fragment a, or of a b to be transposed
  int columns[N / 16];  // as its row of a fragment b

  __device__ Line(const S& s, bool along_W, int line)
      : n(along_W ? s.W : s.H),
        first(along_W ? line * s.pitch : line),
        step(along_W ? 1 : s.pitch),
        half(line / 2) {
    const int lane = int(threadIdx.x) % 32;
    unrolled<N / 16>([&](int t) {
      rows[t] = at(16 * t + lane % 16, lane / 16);
      columns[t] = at(16 * t + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    });
  }
  __device__ __forceinline__ int rows_of(int tile) const {
    return N > 16 && tile ? rows[N / 16 - 1] : rows[0];
  }
  // Chunk `chunk` of position i.
  __device__ __forceinline__ int at(int i, int chunk) const {
    return place(i < n ? first + i * step : S::zeros, i / 2 + half, chunk);
  }
};

// The lines along an axis in parts of 16 positions, dealt to the warps: a warp keeps to one part,
// `tile`, of every so many lines.
struct LinesOfWarp {
  int n, count, tile, first, step;
  template <class S>
  __device__ LinesOfWarp(const S& s, bool along_W)
      : n(along_W ? s.W : s.H), count(along_W ? s.H : s.W) {
    const int warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
    const bool two = n > 16;
    tile = two ? warp % 2 : 0;
    first = two ? warp / 2 : warp;
    step = two ? warps / 2 : warps;
  }
};

// decay |i - j| between 16 positions i from 16 tile on and all j, in units of log 2, as fragments;
// -inf for j that are padding, of which there are fewer than 16. Scores are added to it, inside the
// tensor cores. For short lines it stays in registers.
template <int N>
struct Decay {
  static constexpr bool kKept = N == 16;
  float decay, x;  // x: row lane / 4 less column 2 (lane % 4)
  int last;        // of the columns 2 (lane % 4) + u those with u > last are padding
  Fragment kept[kKept ? 2 : 1];

  __device__ __forceinline__ Decay(float factor, int n, int tile) : decay(factor) {
    const int lane = int(threadIdx.x) % 32;
    x = float(16 * tile + lane / 4 - lane % 4 * 2);
    last = n - 1 - lane % 4 * 2;
    if constexpr (kKept) make(kept);
  }
  __device__ __forceinline__ void make(Fragment (&s)[N / 8]) const {
    unrolled<N / 8>([&](int m) {
      unrolled<4>([&](int e) {
        const float away = decay * fabsf(x + float(e / 2 * 8 - 8 * m - e % 2));
        s[m][e] = N - 8 * m > 16 || 8 * m + e % 2 <= last ? away : -INFINITY;
      });
    });
  }
  __device__ __forceinline__ void start(Fragment (&s)[N / 8]) const {
    if constexpr (kKept)
      unrolled<N / 2>([&](int e) { s[e / 4][e % 4] = kept[e / 4][e % 4]; });
    else
      make(s);
  }
};

// --- products of a warp; each a, b is at a line's place in a tile ---

using Rows = uint32_t[2][4];  // 16 rows of 32 channels as the left factor of mma

__device__ __forceinline__ void load_rows(Rows& a, const bf16* tile, int rows) {
  ptx::ldmatrix_x4(a[0], tile + rows);
  ptx::ldmatrix_x4(a[1], tile + (rows ^ 16));
}

// s (16, N) += a b^T for all rows b of the line.
template <class S>
__device__ __forceinline__ void multiply_transposed(Fragment (&s)[S::N / 8], const Rows& a,
                                                    const bf16* tile, const Line<S>& line) {
  unrolled<S::N / 16>([&](int t) {
    unrolled<2>([&](int half) {
      uint32_t r[4];
      ptx::ldmatrix_x4(r, tile + (line.columns[t] ^ 16 * half));
      ptx::mma_m16n8k16(s[2 * t], a[half], {r[0], r[1]});
      ptx::mma_m16n8k16(s[2 * t + 1], a[half], {r[2], r[3]});
    });
  });
}

// out (16, D) += p b for p (16, 16) in bf16 and 16 rows b.
__device__ __forceinline__ void multiply(Fragment (&out)[kD / 8], const uint32_t (&p)[4],
                                         const bf16* tile, int rows) {
  unrolled<2>([&](int half) {
    uint32_t r[4];
    ptx::ldmatrix_x4_trans(r, tile + (rows ^ 16 * half));
    ptx::mma_m16n8k16(out[2 * half], p, {r[0], r[1]});
    ptx::mma_m16n8k16(out[2 * half + 1], p, {r[2], r[3]});
  });
}

// Columns 16 t ... 16 t + 15 of p, rounded to bf16, as a left factor.
template <int M>
__device__ __forceinline__ void round_columns(uint32_t (&r)[4], const Fragment (&p)[M], int t) {
  unrolled<4>([&](int i) {
    const Fragment& from = p[2 * t + i / 2];
    r[i] = ptx::pack_bf16(from[i % 2 * 2], from[i % 2 * 2 + 1]);
  });
}

// s -> 2^(s - the greatest of its row).
template <int M>
__device__ __forceinline__ void exponentials(Fragment (&s)[M]) {
  unrolled<2>([&](int r) {
    float most = s[0][2 * r];
    unrolled<M>([&](int m) { most = fmaxf(most, fmaxf(s[m][2 * r], s[m][2 * r + 1])); });
    most = cuda::warp_max<4>(most);
    unrolled<M>([&](int m) {
      unrolled<2>([&](int e) { s[m][2 * r + e] = ptx::exp2_approx(s[m][2 * r + e] - most); });
    });
  });
}

// f(place, r, m) for the lane's parts of 16 x 32 results, rows lane / 4 + 8 r, of which it has the
// channels 8 m + 2 (lane % 4) and the next, at `place` in a tile; not for padding.
template <class S, class F>
__device__ __forceinline__ void for_results(const Line<S>& line, int tile, const F& f) {
  const int lane = int(threadIdx.x) % 32;
  unrolled<2>([&](int r) {
    const int i = 16 * tile + lane / 4 + 8 * r;
    if (i >= line.n) return;
    const int at = line.at(i, 0) + lane % 4 * 2;
    unrolled<kD / 8>([&](int m) { f(at ^ 8 * m, r, m); });
  });
}

}  // namespace rmt::gpu::whole_head
