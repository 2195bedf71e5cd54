// y = A_H A_W v + LCE(v) in one launch: a block to each head of each image, which is read once and
// written once.
//
//   q', k' -> tiles, v -> tile           1. load
//   y1 = softmax(q' k'^T + decay d) v    2. of each row of the map, a warp to 16 queries -> tile
//   g  = softmax(q' k'^T + decay d) y1   3. of each column; over q', not read again -> tile
//   y  = g + bias + sum_t w_t v_(p+t-2)  4. a warp to a channel (whole_head_planes.cuh)
//
// Rounded to bf16 are q', k', P, y1, g, what step 4 adds to it, and y.
#pragma once
#include "ops/attention/kernels.h"
#include "ops/attention/whole_head_planes.cuh"

namespace rmt::gpu::whole_head {

// Threads of a block and blocks of a multiprocessor: on maps of kSide x kSide all warps are busy.
template <int kSide>
constexpr int kThreads = (kSide <= 16 ? kSide / 2 : kSide) * 32;
template <int kSide>
constexpr int kBlocks = kSide == 14   ? 4
                        : kSide == 16 ? 3
                                      : 1;

// to = A values along an axis, all tiles. Row sums come from the tensor cores too, as P times a
// column of ones.
template <class S>
__device__ __forceinline__ void attend(const S& s, bool along_W, float decay, const bf16* q,
                                       const bf16* k, const bf16* values, bf16* to) {
  constexpr int N = S::N;
  constexpr uint32_t kOnes = 0x3f803f80;  // two bf16
  const LinesOfWarp own(s, along_W);
  const Decay<N> away(decay, own.n, own.tile);
#pragma unroll 1
  for (int number = own.first; number < own.count; number += own.step) {
    const Line<S> line(s, along_W, number);
    Rows a;
    load_rows(a, q, line.rows_of(own.tile));
    Fragment p[N / 8], out[kD / 8] = {}, sum = {};
    away.start(p);
    multiply_transposed(p, a, k, line);
    exponentials(p);
    unrolled<N / 16>([&](int t) {
      uint32_t left[4];
      round_columns(left, p, t);
      multiply(out, left, values, line.rows[t]);
      ptx::mma_m16n8k16(sum, left, {kOnes, kOnes});
    });
    const float scale[2] = {ptx::reciprocal_approx(sum[0]), ptx::reciprocal_approx(sum[2])};
    for_results(line, own.tile, [&](int at, int r, int m) {
      *reinterpret_cast<uint32_t*>(to + at) =
          ptx::pack_bf16(scale[r] * out[m][2 * r], scale[r] * out[m][2 * r + 1]);
    });
  }
}

// g += bias + LCE(v), both tiles.
template <class S>
__device__ __forceinline__ void add_convolution(const S& s, const float* w, const float* bias,
                                                int head, const bf16* v, bf16* planes,
                                                uint32_t* pairs, bf16* g) {
  spread(s, {v}, {planes});
  load_pairs(w, head, false, pairs);
  __syncthreads();
  const Band band;
#pragma unroll 1
  for (int c = int(threadIdx.x) / 32; c < kD; c += int(blockDim.x) / 32)
    convolve_plane<S>(planes + c * Planes<S>::plane, pairs + c * 5 * kPairs, band,
                      bias ? bias[head * kD + c] : 0);
  __syncthreads();
  gather(s, planes, g);
  __syncthreads();
}

// Bytes of shared memory: two tiles, and two more or the planes that come in their place.
template <int kSide>
constexpr int64_t kForwardBytes =
    2 * Shape<kSide>::tile * sizeof(bf16) + std::max(2 * Shape<kSide>::tile * sizeof(bf16),
                                                     Planes<Shape<kSide>>::all * sizeof(bf16) +
                                                         2 * kPairsOfHead * sizeof(uint32_t));

template <int kSide>
__global__ void __launch_bounds__(kThreads<kSide>, kBlocks<kSide>)
    forward_kernel(Attention<bf16> a, Shape<kSide> s, const float* w, const float* bias, bf16* y1,
                   bf16* y) {
  DYNAMIC_SHARED(bf16, shared);
  bf16 *q = shared, *v = q + s.tile, *k = v + s.tile, *gathered = k + s.tile, *planes = k;
  {
    const Head h(s.heads);
    const bf16* from_v = a.v + h.first(s, a.v_stride);
    const int64_t at_qk = h.first(s, a.qk_stride);
    for_chunks(s, [&](int p, int c, int at) {
      ptx::cp_async_16(v + at, from_v + p * int(a.v_stride) + c);
    });
    ptx::cp_async_commit();
    write_zeros<Shape<kSide>>(shared, 4);
    load_rotated(s, a.q + at_qk, a.k + at_qk, int(a.qk_stride), a.rotary, q, k);
  }
  ptx::cp_async_wait<0>();
  __syncthreads();

  const float decay = a.decay ? float(kLog2e) * a.decay[Head(s.heads).head] : 0;
  attend(s, true, decay, q, k, v, gathered);
  __syncthreads();
  const auto store = [&](const bf16* tile, bf16* to) {
    to += Head(s.heads).first(s, a.y_stride);
    for_chunks(s,
               [&](int p, int c, int at) { copy_eight(to + p * int(a.y_stride) + c, tile + at); });
  };
  if (y1) store(gathered, y1);
  attend(s, false, decay, q, k, gathered, q);
  __syncthreads();
  if (w)
    add_convolution(s, w, bias, Head(s.heads).head, v, planes,
                    reinterpret_cast<uint32_t*>(planes + Planes<Shape<kSide>>::all), q);
  store(q, y);
}

// kSide for a map; 0: there is none. A side is not much shorter than the other: both have one part
// of 16 positions, or both two.
inline int forward_side(const Lines& lines, int64_t k, int64_t shared_bytes) {
  const int64_t longest = std::max(lines.H, lines.W), shortest = std::min(lines.H, lines.W);
  if (!suits(lines, k)) return 0;
  if (longest <= 14 && kForwardBytes<14> <= shared_bytes) return 14;
  if (longest <= 16 && kForwardBytes<16> <= shared_bytes) return 16;
  return longest <= 28 && shortest > 16 && kForwardBytes<28> <= shared_bytes ? 28 : 0;
}

inline void forward(int side, const Attention<bf16>& a, const float* w, const float* bias, bf16* y1,
                    bf16* y) {
  const auto start = [&](auto kSide) {
    cuda::launch("packed_attention_forward", forward_kernel<kSide>,
                 dim3(unsigned(a.lines.B * a.lines.heads)), dim3(kThreads<kSide>),
                 kForwardBytes<kSide>, a, Shape<kSide>(a.lines), w, bias, y1, y);
  };
  if (side == 14)
    start(std::integral_constant<int, 14>());
  else if (side == 16)
    start(std::integral_constant<int, 16>());
  else
    start(std::integral_constant<int, 28>());
}

}  // namespace rmt::gpu::whole_head
