// The filters' gradient on tensor cores (convolution_window.h), without patches in memory:
//
//   dw (O, taps C) = dy (outputs, O)^T windows (outputs, taps C),   dbias = sum of dy over outputs
//
// A block takes kM 16 rows of dw and kChannels of the channels, and goes through some of the tiles;
// it leaves a sum over these, and a second kernel adds the blocks' sums in their order. Each warp
// has a tap: it multiplies the tile of dy, transposed, by the halo seen from that tap. Where there
// are fewer taps than warps, these share a tile's outputs, and leave a sum each.
#pragma once
#include "ops/kernels/convolution.cuh"

namespace rmt::gpu::convolution {

// Warps of a block, at most: one for each of 3 x 3 taps. Where a thread computes what it loads, and
// has one tap, 8: they may have more registers.
template <class Source>
constexpr int gradient_warps = Source::taps == 1 ? 8 : 9;
constexpr int kGradientOutputs = 8 * 16;  // of a tile, at most

// What is left by blocks (parts) and their slices of a tile: filters (parts slices, O, taps, C),
// bias (parts, O) or null.
struct GradientSums {
  float *filters, *bias;
  int slices;
  int outputs, dy_at;  // of a tile, up to whole 16; where dy lies in shared memory
};

// dy (B, OH, OW, O) of the tile's outputs and kColumns columns, to shared memory; zeros where there
// are none, up to whole 16 outputs.
template <int kColumns>
__device__ __forceinline__ void load_dy(const bf16* dy, const Window& w, const int* pixels,
                                        int outputs, int column, bf16* to) {
  constexpr int packs = kColumns / 8;
  const int c = int(threadIdx.x) % packs * 8, step = int(blockDim.x) / packs;
#pragma unroll 1
  for (int n = int(threadIdx.x) / packs; n < outputs; n += step) {
    const int pixel = pixels[n];
    const bool there = pixel >= 0 && column + c < w.O;
    ptx::cp_async_16(to + n * (kColumns + kGap) + c,
                     dy + (there ? int64_t(pixel) * w.O + column + c : 0), there);
  }
}

// Two columns of dbias: a thread adds up every so many outputs.
template <int kColumns>
struct BiasSums {
  float left = 0, right = 0;
  __device__ __forceinline__ void add(const bf16* tile, int outputs) {
    constexpr int pairs = kColumns / 2;
    const bf16* column = tile + int(threadIdx.x) % pairs * 2;
#pragma unroll 2
    for (int n = int(threadIdx.x) / pairs; n < outputs; n += int(blockDim.x) / pairs) {
      const uint32_t pair = *reinterpret_cast<const uint32_t*>(column + n * (kColumns + kGap));
      left += __uint_as_float(pair << 16);
      right += __uint_as_float(pair & 0xffff0000u);
    }
  }
  // Of all threads, to bias[0 ... columns).
  __device__ void finish(float* shared, float* bias, int columns) const {
    const int thread = int(threadIdx.x), rows = int(blockDim.x) * 2 / kColumns;
    __syncthreads();
    shared[2 * thread] = left;
    shared[2 * thread + 1] = right;
    __syncthreads();
    if (thread >= min(columns, kColumns)) return;
    float total = 0;
    for (int r = 0; r < rows; ++r) total += shared[r * kColumns + thread];
    bias[thread] = total;
  }
};

// sums += (dy's tile)^T halo for every `slices`th 16 outputs from `slice` on. rows: where the halo
// begins for each output, seen from the warp's tap.
template <int kChannels, int kM>
__device__ __forceinline__ void add_tile(float (&sums)[kM][kChannels / 8][4], const bf16* dy,
                                         const bf16* halo, const int* rows, int outputs, int slice,
                                         int slices) {
  constexpr int ld = kM * 16 + kGap;
  const int lane = int(threadIdx.x) % 32;
  const bf16* left = dy + (lane / 16 * 8 + lane % 8) * ld + lane / 8 % 2 * 8;
#pragma unroll 1
  for (int n = slice * 16; n < outputs; n += slices * 16) {
    const bf16* right = halo + rows[n + lane % 16] + lane / 16 * 8;
    uint32_t b[kChannels / 16][4];
#pragma unroll
    for (int c = 0; c < kChannels / 16; ++c) ptx::ldmatrix_x4_trans(b[c], right + c * 16);
#pragma unroll
    for (int m = 0; m < kM; ++m) {
      uint32_t a[4];
      ptx::ldmatrix_x4_trans(a, left + n * ld + m * 16);
#pragma unroll
      for (int c = 0; c < kChannels / 16; ++c) {
        ptx::mma_m16n8k16(sums[m][2 * c], a, {b[c][0], b[c][1]});
        ptx::mma_m16n8k16(sums[m][2 * c + 1], a, {b[c][2], b[c][3]});
      }
    }
  }
}

// Blocks (parts, rows of dw, channels); warps (slice, tap). A multiprocessor has registers for two
// blocks, or for one where a thread has 64 sums.
template <int kChannels, int kM, class Source>
__global__ void __launch_bounds__(32 * gradient_warps<Source>, kM* kChannels > 64 ? 1 : 2)
    gradient_kernel(Source source, const bf16* dy, Window w, Tiles tiles, GradientSums left) {
  constexpr int ld = kChannels + kGap, kColumns = kM * 16;
  DYNAMIC_SHARED(bf16, shared);  // the halo, and dy
  SHARED(int, pixels, kGradientOutputs);
  SHARED(int, rows, kGradientOutputs);
  bf16* const tile_dy = shared + left.dy_at;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int tap = warp % w.taps(), slice = warp / w.taps();
  const int i = tap / w.x.taps, j = tap % w.x.taps;
  const int seen_from = (i * tiles.places + Tiles::place(w.step, j, tiles.places)) * ld;
  const int o = int(blockIdx.y) * kColumns, channel = int(blockIdx.z) * kChannels;
  const int outputs = left.outputs;
  float sums[kM][kChannels / 8][4] = {};
  BiasSums<kColumns> bias;
  const bool has_bias = left.bias && blockIdx.z == 0;
  for (Walk walk(tiles); walk.left > 0; walk.next(w, tiles)) {
    __syncthreads();  // all have read the tile before
    write_places(w, tiles, walk, ld, pixels, rows, outputs);
    load_halo<kChannels>(source, w, tiles, walk, channel, shared);
    __syncthreads();
    load_dy<kColumns>(dy, w, pixels, outputs, o, tile_dy);
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
    __syncthreads();
    add_tile<kChannels, kM>(sums, tile_dy, shared + seen_from, rows, outputs, slice, left.slices);
    if (has_bias) bias.add(tile_dy, outputs);
  }
  float* to = left.filters + (int64_t(blockIdx.x) * left.slices + slice) * w.O * w.taps() * w.C;
#pragma unroll
  for (int m = 0; m < kM; ++m)
#pragma unroll
    for (int n = 0; n < kChannels / 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = o + m * 16 + half * 8 + lane / 4, c = channel + n * 8 + lane % 4 * 2;
        if (row < w.O && c < w.C)
          *reinterpret_cast<cuda::Pack<float, 2>*>(to + (int64_t(row) * w.taps() + tap) * w.C +
                                                   c) = {sums[m][n][2 * half],
                                                         sums[m][n][2 * half + 1]};
      }
  if (has_bias)
    bias.finish(reinterpret_cast<float*>(shared), left.bias + int64_t(blockIdx.x) * w.O + o,
                w.O - o);
}

// Where the sums go: filters (O, taps, C) to dw (O, I, k, k), and behind them bias (O) to dbias.
struct FilterGradients {
  Window w;
  Filters f;
  float *dw, *dbias;
  __device__ void operator()(int64_t i, double sum) const {
    const int c = int(i) % w.C, tap = int(i) / w.C % w.taps(), o = int(i) / w.C / w.taps();
    if (o >= w.O)
      dbias[i - w.O * w.taps() * w.C] = float(sum);
    else if (c < f.channels)
      dw[f.place(o, c, tap / w.x.taps, tap % w.x.taps)] = float(sum);
  }
};

// dw and dbias, which may be null, with channels and rows of dw at a time that the compiler knows.
template <int kChannels, int kM, class Source>
void launch_gradient(const Source& source, const bf16* dy, const Window& w, float* dw, float* dbias,
                     const Conv& c) {
  const Tiles tiles = best_tiles(w, kGradientOutputs);
  const unsigned rows = unsigned(cuda::blocks_for(w.O, kM * 16)),
                 chunks = unsigned(cuda::blocks_for(w.C, kChannels));
  // Two blocks on a multiprocessor, which leave as few sums as possible.
  const int64_t wanted = cuda::blocks_for(cuda::limits().parts, 4) / (rows * chunks);
  const int64_t parts = std::clamp<int64_t>(wanted, 1, tiles.count);
  const int64_t slices = gradient_warps<Source> / w.taps(), numbers = int64_t(w.O) * w.taps() * w.C;
  const cuda::Partial<float> filters(parts * slices, numbers), bias(dbias ? parts : 0, w.O);
  const int64_t outputs = cuda::blocks_for(tiles.outputs(), 16) * 16,
                halo = tiles.halo() * (kChannels + kGap),
                numbers_shared = halo + outputs * (kM * 16 + kGap);
  const GradientSums sums{filters.at(), dbias ? bias.at() : nullptr, int(slices), int(outputs),
                          int(halo)};
  const int64_t threads = 32 * slices * w.taps();
  cuda::launch("conv2d_backward_w", gradient_kernel<kChannels, kM, Source>,
               dim3(unsigned(parts), rows, chunks), dim3(unsigned(threads)),
               std::max(size_t(numbers_shared) * sizeof(bf16), size_t(threads) * 8), source, dy, w,
               tiles, sums);
  const FilterGradients to{w, forward_filters(c, is_image(c)), dw, dbias};
  cuda::add_parts<float>(filters, dbias ? cuda::Parts<float>(bias) : cuda::Parts<float>(), to);
}

inline void backward_w(const bf16* dy, const bf16* x, float* dw, float* dbias, const Conv& c) {
  if (is_image(c))
    return launch_gradient<kPatchChannels, 2>(patches(x, c), dy, patch_window(c), dw, dbias, c);
  const Window w = forward_window(c);
  auto with_channels = [&](auto channels) {
    if (w.O <= 32)
      launch_gradient<channels, 2>(stored(x, c), dy, w, dw, dbias, c);
    else
      launch_gradient<channels, 4>(stored(x, c), dy, w, dw, dbias, c);
  };
  if (w.C > 16)
    with_channels(std::integral_constant<int, 32>());
  else
    with_channels(std::integral_constant<int, 16>());
}

}  // namespace rmt::gpu::convolution
