// The product of a convolution on tensor cores (convolution_window.h), without patches in memory:
//
//   out (outputs, O) = windows (outputs, taps C) filters (taps C, O) + bias
//
// A block takes a tile of kM 64 outputs and kN 8 of the columns. For kChannels channels at a time,
// the tile's halo lies in shared memory, where each tap finds its numbers: a row of the product's
// left factor is a pixel of the halo, and the next tap's is some pixels further. The right factor
// comes from memory in the order of the registers of mma, a step ahead of its use; all blocks read
// the same, so that it stays in the caches.
//
//       halo, 3 x 3 taps, step 1             left factor of tap (0, 1)
//       +---+---+---+---+---+---+            +-------------------+
//       |   | a | b | c | d |   |            | a : C numbers     |   output (0, 0)
//       +---+---+---+---+---+---+     ->     | b                 |   output (0, 1)
//       |   |   |   |   |   |   |            | c                 |
//       +---+---+---+---+---+---+            | d                 |
//       |   |   |   |   |   |   |            +-------------------+
//       +---+---+---+---+---+---+
#pragma once
#include "ops/kernels/convolution_tiles.cuh"

namespace rmt::gpu::convolution {

constexpr int kWarps = 4, kBlock = 32 * kWarps;

// How the right factor is found in w (O, I, k, k).
struct Filters {
  int k, I;
  int64_t output, channel;  // from a column to the next, from a channel that is read to the next
  int channels;             // that are read
  bool patches;             // these are the numbers of a patch (convolution_tiles.cuh)
  __device__ float at(const float* w, int o, int c, int i, int j) const {
    if (patches) return w[o * output + c % I * channel + c / I];
    return w[o * output + c * channel + i * k + j];
  }
};

// Steps of 16 numbers along the product's inner dimension: for each kChannels channels, for each
// tap, for each 16 of the channels.
HD inline int steps_of(const Window& w, int channels) {
  return (w.C + channels - 1) / channels * w.taps() * (channels / 16);
}

// packed[column block of 16][step][lane]: the registers of b for the left and the right 8 columns.
static __global__ void pack_filters_kernel(const float* weights, Eight* packed, Window w, Filters f,
                                           int kChannels, int n) {
  const int at = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= n) return;
  const int steps = steps_of(w, kChannels), sixteens = kChannels / 16;
  const int lane = at % 32, step = at / 32 % steps, first = at / 32 / steps * 16 + lane / 4;
  const int tap = step / sixteens % w.taps(), a = tap / w.x.taps, b = tap % w.x.taps;
  const int chunk = step / sixteens / w.taps();
  const int channel = chunk * kChannels + step % sixteens * 16 + lane % 4 * 2;
  auto number = [&](int o, int c) {
    if (o >= w.O || c >= f.channels) return 0.f;
    return f.at(weights, o, c, w.y.tap + a * w.y.tap_step, w.x.tap + b * w.x.tap_step);
  };
  Eight out;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int column = first + r / 2 * 8, row = channel + r % 2 * 8;
    out.at[r] = ptx::pack_bf16(number(column, row), number(column, row + 1));
  }
  packed[at] = out;
}

// The thread's 8 columns of 8 outputs of a tile: places in the map that is written, negative where
// there is no output, and the sums, rounded.
struct Outputs {
  int64_t at[8];
  Eight sums[8];
};

// out = the sums.
struct Store {
  static constexpr int kBlocks = 3;  // that a multiprocessor must have registers for
  struct State {};
  bf16* out;
  __device__ State begin(int) const { return {}; }
  __device__ void take(State&, const Outputs& o) const {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (o.at[i] >= 0) *reinterpret_cast<Eight*>(out + o.at[i]) = o.sums[i];
  }
  template <int kN>
  __device__ void finish(const State&, void*, int, const Window&) const {}
};

// One block's part of the work; `result` has what becomes of the sums.
template <int kChannels, int kM, int kN, class Source, class Result>
__global__ void __launch_bounds__(kBlock, Result::kBlocks)
    product_kernel(Source source, Window w, Tiles tiles, const Eight* filters, const float* bias,
                   Result result) {
  constexpr int ld = kChannels + kGap, ld_out = kN * 8 + kGap, kOutputs = kM * 16 * kWarps;
  DYNAMIC_SHARED(bf16, shared);  // the halo, then the sums
  SHARED(int, places, kOutputs);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int column = int(blockIdx.y) * kN * 8, c = int(threadIdx.x) % kN * 8;
  const int steps = steps_of(w, kChannels);
  for (int n = int(threadIdx.x); n < kOutputs; n += kBlock) {
    const Output o(tiles, n);
    places[n] = n < tiles.outputs() ? o.image << 20 | o.u << 10 | o.v : -1;
  }
  int rows[kM];  // where the row of the left factor lies that the lane points to
#pragma unroll
  for (int m = 0; m < kM; ++m) {
    const Output o(tiles, min((warp * kM + m) * 16 + lane % 16, tiles.outputs() - 1));
    const int line = o.image * tiles.halo_rows + o.u * w.step;
    rows[m] = (line * tiles.places + o.v) * ld + lane / 16 * 8;
  }
  typename Result::State state = result.begin(column + c);

  for (int tile = int(blockIdx.x); tile < tiles.count; tile += int(gridDim.x)) {
    const Corner corner(tiles, tile);
    float sums[kM][kN][4];
#pragma unroll
    for (int n = 0; n < kN; ++n) {
      const int pair = column + n * 8 + lane % 4 * 2;
      const bool there = bias && pair < w.O;
      const float left = there ? bias[pair] : 0, right = there ? bias[pair + 1] : 0;
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        sums[m][n][0] = sums[m][n][2] = left;
        sums[m][n][1] = sums[m][n][3] = right;
      }
    }
    const Eight* next = filters + int64_t(blockIdx.y) * (kN / 2) * steps * 32 + lane;
    Eight b[kN / 2];
    auto load_filters = [&] {
#pragma unroll
      for (int n = 0; n < kN / 2; ++n) b[n] = next[n * steps * 32];
    };
    int step = 0;
    for (int channel = 0; channel < w.C; channel += kChannels) {
      __syncthreads();  // all have read what lies in `shared`
      load_halo<kChannels>(source, w, tiles, corner, channel, shared);
      ptx::cp_async_commit();
      load_filters();
      ptx::cp_async_wait<0>();
      __syncthreads();
      for (int i = 0; i < w.y.taps; ++i)
        for (int j = 0; j < w.x.taps; ++j) {
          const int tap = (i * tiles.places + Tiles::place(w.step, j, tiles.places)) * ld;
#pragma unroll
          for (int k = 0; k < kChannels / 16; ++k) {
            Eight now[kN / 2];
#pragma unroll
            for (int n = 0; n < kN / 2; ++n) now[n] = b[n];
            if (++step < steps) next += 32;
            load_filters();
#pragma unroll
            for (int m = 0; m < kM; ++m) {
              uint32_t a[4];
              ptx::ldmatrix_x4(a, shared + rows[m] + tap + k * 16);
#pragma unroll
              for (int n = 0; n < kN; ++n)
                ptx::mma_m16n8k16(sums[m][n], a,
                                  {now[n / 2].at[n % 2 * 2], now[n / 2].at[n % 2 * 2 + 1]});
            }
          }
        }
    }
    // Through shared memory, rounded, from the lanes of mma to threads of 8 columns.
    __syncthreads();
#pragma unroll
    for (int m = 0; m < kM; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = (warp * kM + m) * 16 + half * 8 + lane / 4;
#pragma unroll
        for (int n = 0; n < kN; ++n)
          *reinterpret_cast<uint32_t*>(shared + row * ld_out + n * 8 + lane % 4 * 2) =
              ptx::pack_bf16(sums[m][n][2 * half], sums[m][n][2 * half + 1]);
      }
    __syncthreads();
    Outputs out;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int n = int(threadIdx.x) / kN + i * (kBlock / kN), place = places[n];
      const int64_t image = corner.image + (place >> 20);
      const int u = corner.u + (place >> 10 & 1023), v = corner.v + (place & 1023);
      const bool there =
          place >= 0 && image < w.B && u < w.y.out && v < w.x.out && column + c < w.O;
      const int64_t line = image * w.y.written + u * w.out_step + w.y.out_start;
      const int64_t pixel = line * w.x.written + v * w.out_step + w.x.out_start;
      out.at[i] = there ? pixel * w.O + column + c : -1;
      out.sums[i] = *reinterpret_cast<const Eight*>(shared + n * ld_out + c);
    }
    result.take(state, out);
  }
  result.template finish<kN>(state, shared, column + c, w);
}

}  // namespace rmt::gpu::convolution
