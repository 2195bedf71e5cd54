// What the convolutions on tensor cores share: a tile's halo in shared memory (convolution_window.h
// says what that is), and the sources that its numbers come from.
//
// A source gives 8 neighbouring channels of a pixel, 16 bytes, as bf16. `Stored` has them in
// memory, and copies them past the registers; `Patches` gathers them; `NormGelu` computes them.
#pragma once
#include <bit>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/ptx.h"
#include "ops/kernels/convolution_window.h"
#include "ops/kernels/gelu.cuh"

namespace rmt::gpu::convolution {

// 8 bf16, in pairs: the first of a pair is the lower half of its word.
using Eight = cuda::Pack<uint32_t, 4>;

// The numbers of a pixel lie kGap further apart than there are channels: 8 neighbouring pixels are
// then in all banks, for the channels of a pixel come in multiples of 16.
constexpr int kGap = 8;

// Output (0, 0) of a tile's first image.
struct Corner {
  int64_t image;
  int u, v;
  __device__ Corner(const Tiles& t, int tile) {
    const int row = tile / t.across;
    v = (tile - row * t.across) * t.columns;
    const int group = row / t.down;
    u = (row - group * t.down) * t.rows;
    image = int64_t(group) * t.images;
  }
};

// Where output number n of a tile is.
struct Output {
  int image, u, v;
  __device__ Output(const Tiles& t, int n) {
    const int row = n / t.columns;
    v = n - row * t.columns;
    image = row / t.rows;
    u = row - image * t.rows;
  }
};

// x (B, H, W, C) as it is.
struct Stored {
  static constexpr bool in_memory = true;
  const bf16* x;
  int H, W, C;
  __device__ void copy(bf16* to, int64_t image, int y, int column, int channel, bool there) const {
    const int64_t at = ((image * H + y) * W + column) * C + channel;
    ptx::cp_async_16(to, x + (there ? at : 0), there);
  }
};

// The patches of x (B, H, W, I) under the pixels of y: channel (i k + j) I + c of a patch is
// channel c under tap (i, j). The k I numbers under a row of taps lie side by side.
template <int I, int k>
struct Patches {
  static constexpr bool in_memory = false;
  static constexpr int at_once = 4;
  const bf16* x;
  int H, W, stride, pad;
  struct Columns {};
  __device__ Columns columns(int) const { return {}; }
  __device__ Eight fetch(int64_t image, int y, int column, int channel, bool there) const {
    const int first = y * stride - pad, from = (column * stride - pad) * I, width = W * I;
    const bf16* map = x + image * H * width;
    cuda::Pack<bf16, 8> out{};
    int i = channel / (k * I), at = channel % (k * I);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const int line = first + i, place = from + at;
      if (there && i < k && unsigned(line) < unsigned(H) && unsigned(place) < unsigned(width))
        out.at[n] = map[line * width + place];
      if (++at == k * I) {
        at = 0;
        ++i;
      }
    }
    return std::bit_cast<Eight>(out);
  }
  __device__ Eight finish(const Columns&, const Eight& pack) const { return pack; }
};

// What a thread has of the halo of a tile, put into shared memory: 8 channels, from `channel` + c
// on, of every so many pixels of a line, in every so many lines. Zeros outside the map, and where
// there are no more channels.
template <int kChannels, class Source>
__device__ __forceinline__ void load_halo(const Source& source, const Window& w, const Tiles& tiles,
                                          const Corner& corner, int channel, bf16* halo) {
  constexpr int packs = kChannels / 8, step = 32 / packs, ld = kChannels + kGap;
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32,
            warps = int(blockDim.x) / 32;
  const int c = lane % packs * 8;
  const bool has_channels = channel + c < w.C;
  channel = has_channels ? channel + c : 0;
  for (int line = warp; line < tiles.lines(); line += warps) {
    const int local = line / tiles.halo_rows;
    const int64_t image = corner.image + local;
    const int y = corner.u * w.step + w.y.start + line - local * tiles.halo_rows;
    const int left = corner.v * w.step + w.x.start;
    const bool line_there = has_channels && image < w.B && unsigned(y) < unsigned(w.y.in);
    bf16* to = halo + line * tiles.places * ld + c;
    auto place = [&](int i) { return to + Tiles::place(w.step, i, tiles.places) * ld; };
    auto there = [&](int i) { return line_there && unsigned(left + i) < unsigned(w.x.in); };
    if constexpr (Source::in_memory) {
      for (int i = lane / packs; i < tiles.halo_columns; i += step)
        source.copy(place(i), image, y, left + i, channel, there(i));
    } else {
      constexpr int kBatch = Source::at_once;  // pixels whose loads are under way together
      const auto columns = source.columns(channel);
      for (int i = lane / packs; i < tiles.halo_columns; i += kBatch * step) {
        Eight pack[kBatch];
#pragma unroll
        for (int n = 0; n < kBatch; ++n) {
          const int at = i + n * step;
          pack[n] =
              source.fetch(image, y, left + at, channel, at < tiles.halo_columns && there(at));
        }
#pragma unroll
        for (int n = 0; n < kBatch; ++n) {
          const int at = i + n * step;
          if (at < tiles.halo_columns)
            *reinterpret_cast<Eight*>(place(at)) =
                there(at) ? source.finish(columns, pack[n]) : Eight{};
        }
      }
    }
  }
}

}  // namespace rmt::gpu::convolution
