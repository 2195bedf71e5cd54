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
#include "ops/kernels/convolution_epilogue.cuh"

namespace rmt::gpu::convolution {

// How the right factor is found in w (O, I, k, k).
struct Filters {
  int k, I;
  int output, channel;  // from a column to the next, from a channel that is read to the next
  int channels;         // that are read
  bool patches;         // these are the numbers of a patch (convolution_tiles.cuh)
  __device__ int64_t place(int o, int c, int i, int j) const {
    if (patches) return int64_t(o) * output + c % I * channel + c / I;
    return int64_t(o) * output + c * channel + i * k + j;
  }
};

// Of y's product.
inline Filters forward_filters(const Conv& c, bool patches) {
  const int taps = int(c.k * c.k), I = int(c.I);
  return {int(c.k), I, I * taps, taps, patches ? taps * I : I, patches};
}
// Of dx's.
inline Filters backward_filters(const Conv& c) {
  const int taps = int(c.k * c.k);
  return {int(c.k), int(c.I), taps, int(c.I) * taps, int(c.O), false};
}

// Steps of 16 numbers along the product's inner dimension: for each kChannels channels, for each
// tap, for each 16 of the channels.
HD inline int steps_of(const Window& w, int channels) {
  return (w.C + channels - 1) / channels * w.taps() * (channels / 16);
}

// The filters of one window of several, in the order in which its product reads them, from `begin`
// on: packed[column block of 16][step][lane], the registers of b for the left and the right 8
// columns.
struct Packing {
  Window w;
  int channels;  // of a halo at a time
  int begin, n;  // 16 bytes each
};
constexpr int kWindows = 4;
struct Packings {
  Packing of[kWindows];
};

// Block (x, y): some of the filters of window y.
static __global__ void pack_filters_kernel(const float* weights, Eight* packed, Packings all,
                                           Filters f) {
  const Packing& p = all.of[blockIdx.y];
  const Window& w = p.w;
  const int at = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= p.n) return;
  const int steps = steps_of(w, p.channels), sixteens = p.channels / 16;
  const int lane = at % 32, step = at / 32 % steps, first = at / 32 / steps * 16 + lane / 4;
  const int tap = step / sixteens % w.taps(), a = tap / w.x.taps, b = tap % w.x.taps;
  const int chunk = step / sixteens / w.taps();
  const int channel = chunk * p.channels + step % sixteens * 16 + lane % 4 * 2;
  auto number = [&](int o, int c) {
    if (o >= w.O || c >= f.channels) return 0.f;
    return weights[f.place(o, c, w.y.tap + a * w.y.tap_step, w.x.tap + b * w.x.tap_step)];
  };
  Eight out;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int column = first + r / 2 * 8, row = channel + r % 2 * 8;
    out.at[r] = ptx::pack_bf16(number(column, row), number(column, row + 1));
  }
  packed[p.begin + at] = out;
}

// A block's part of the product, as one of its threads sees it: the lane of a warp of kM 16 outputs
// and all kN 8 columns.
template <int kChannels, int kM, int kN>
struct Product {
  static constexpr int ld = kChannels + kGap, ld_out = kN * 8 + kGap;
  static constexpr int outputs = kM * 16 * kWarps;  // of the block's tiles
  const Window& w;
  const Tiles& tiles;
  bf16* const shared;  // the halo, then the rounded sums (outputs, kN 8)
  const int lane, warp, steps;
  int rows[kM];  // where the row of the left factor lies that the lane points to
  float sums[kM][kN][4];
  // Filters of the step that comes next, and where they were read.
  Eight filters[kN / 2];
  const Eight* read;
  int step;

  // rows_of: of each of the block's outputs (write_places).
  __device__ __forceinline__ Product(const Window& window, const Tiles& tiles_, const int* rows_of,
                                     bf16* memory)
      : w(window),
        tiles(tiles_),
        shared(memory),
        lane(int(threadIdx.x) % 32),
        warp(int(threadIdx.x) / 32),
        steps(steps_of(w, kChannels)) {
#pragma unroll
    for (int m = 0; m < kM; ++m)
      rows[m] = rows_of[(warp * kM + m) * 16 + lane % 16] + lane / 16 * 8;
  }

  // Sums begin with the bias, which may be null, of the columns from `column` on.
  __device__ __forceinline__ void begin(const Eight* packed, const float* bias, int column) {
    read = packed + int64_t(column / 16) * steps * 32 + lane;
    step = 0;
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
  }
  __device__ __forceinline__ void load_filters() {
#pragma unroll
    for (int n = 0; n < kN / 2; ++n) filters[n] = read[n * steps * 32];
  }

  // sums += what the kChannels channels in shared memory give.
  __device__ __forceinline__ void add_halo() {
    for (int i = 0; i < w.y.taps; ++i)
      for (int j = 0; j < w.x.taps; ++j) {
        const int tap = (i * tiles.places + Tiles::place(w.step, j, tiles.places)) * ld;
#pragma unroll 2
        for (int k = 0; k < kChannels / 16; ++k) {
          Eight now[kN / 2];
#pragma unroll
          for (int n = 0; n < kN / 2; ++n) now[n] = filters[n];
          if (++step < steps) read += 32;
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

  // The sums, rounded, to shared memory: from there threads take 8 columns of an output.
  __device__ __forceinline__ void round_sums() const {
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
  }
};

// Blocks: a tile, and kN 8 columns. (A multiprocessor has registers for three blocks.)
template <int kChannels, int kM, int kN, class Source, class Epilogue>
__global__ void __launch_bounds__(kBlock, 3)
    product_kernel(Source source, Epilogue epilogue, Window w, Tiles tiles, const Eight* filters,
                   const float* bias, bf16* out) {
  using P = Product<kChannels, kM, kN>;
  DYNAMIC_SHARED(bf16, shared);
  SHARED(int, pixels, P::outputs);
  SHARED(int, rows, P::outputs);
  const Tiles::First first = tiles.first(int(blockIdx.x));
  write_places(w, tiles, first, P::ld, pixels, rows, P::outputs);
  __syncthreads();
  P product(w, tiles, rows, shared);
  const int column = int(blockIdx.y) * kN * 8;
  product.begin(filters, bias, column);
  for (int channel = 0; channel < w.C; channel += kChannels) {
    __syncthreads();  // all have read what lies in `shared`
    load_halo<kChannels>(source, w, tiles, first, channel, shared);
    ptx::cp_async_commit();
    product.load_filters();
    ptx::cp_async_wait<0>();
    __syncthreads();
    product.add_halo();
  }
  __syncthreads();
  product.round_sums();
  __syncthreads();
  store_outputs<kN>(epilogue, w, pixels, shared, column, out);
}

}  // namespace rmt::gpu::convolution
