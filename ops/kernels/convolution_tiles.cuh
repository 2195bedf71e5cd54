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

// The tiles of a block, in order: neighbours on the map share pixels of their halos.
struct Walk : Tiles::First {
  int left;  // tiles from here on

  __device__ explicit Walk(const Tiles& t) {
    const int parts = int(gridDim.x), part = int(blockIdx.x);
    const int begin = int(int64_t(t.count) * part / parts),
              end = int(int64_t(t.count) * (part + 1) / parts);
    First::operator=(t.first(begin));
    left = end - begin;
  }
  __device__ void next(const Window& w, const Tiles& t) {
    --left;
    v += t.columns;
    if (v < w.x.out) return;
    v = 0;
    u += t.rows;
    if (u < w.y.out) return;
    u = 0;
    image += t.images;
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

// For each output n of a tile: pixels[n], the pixel that it is, counted through the whole batch of
// the map that is written, -1 where there is none; and rows[n], where its window begins in a halo
// whose pixels lie ld numbers apart.
__device__ inline void write_places(const Window& w, const Tiles& tiles, const Tiles::First& first,
                                    int ld, int* pixels, int* rows, int outputs) {
#pragma unroll 1
  for (int n = int(threadIdx.x); n < outputs; n += int(blockDim.x)) {
    const Output o(tiles, min(n, tiles.outputs() - 1));
    rows[n] = ((o.image * tiles.halo_rows + o.u * w.step) * tiles.places + o.v) * ld;
    const int image = first.image + o.image;
    const int u = first.u + o.u, v = first.v + o.v;
    const bool there = n < tiles.outputs() && image < w.B && u < w.y.out && v < w.x.out;
    const int line = image * w.y.written + u * w.out_step + w.y.out_start;
    pixels[n] = there ? line * w.x.written + v * w.out_step + w.x.out_start : -1;
  }
}

// x (B, H, W, C) as it is.
struct Stored {
  static constexpr bool in_memory = true;
  static constexpr int taps = 9;  // of a window, at most
  const bf16* x;
  int H, W, C;
  __device__ void copy(bf16* to, int image, int y, int column, int channel, bool there) const {
    const int64_t at = int64_t((image * H + y) * W + column) * C + channel;
    ptx::cp_async_16(to, x + (there ? at : 0), there);
  }
};

// The patches of x (B, H, W, I) under the pixels of y: channel (i k + j) I + c of a patch is
// channel c under tap (i, j). The k I numbers under a row of taps lie side by side.
template <int I, int k>
struct Patches {
  static constexpr bool in_memory = false;
  static constexpr int taps = 1;
  static constexpr int at_once = 2;
  const bf16* x;
  int H, W, stride, pad;
  struct Columns {};
  __device__ Columns columns(int) const { return {}; }
  __device__ Eight fetch(int image, int y, int column, int channel, bool there) const {
    const int first = y * stride - pad, from = (column * stride - pad) * I, width = W * I;
    const bf16* map = x + int64_t(image) * H * width;
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

// A batch norm of C channels: (x - mean) w rstd + bias. Aligned to 16 bytes.
struct Norm {
  const float *w, *bias, *mean, *rstd;
};

// gelu(norm(x)) of x (B, H, W, C). mean w rstd is taken from the bias beforehand: what f32 loses
// so, 2^-24 of a mean in deviations, is far less than bf16 lost of x.
struct NormGelu {
  static constexpr bool in_memory = false;
  static constexpr int taps = 9, at_once = 5;
  const bf16* x;
  int H, W, C;
  Norm norm;
  struct Columns {
    cuda::Values<float, 8> scale, shift;
  };
  __device__ Columns columns(int c) const {
    const auto scale = cuda::load<8>(norm.w + c) * cuda::load<8>(norm.rstd + c);
    return {scale, cuda::load<8>(norm.bias + c) - cuda::load<8>(norm.mean + c) * scale};
  }
  __device__ Eight fetch(int image, int y, int column, int channel, bool there) const {
    const int64_t at = int64_t((image * H + y) * W + column) * C + channel;
    return there ? *reinterpret_cast<const Eight*>(x + at) : Eight{};
  }
  __device__ Eight finish(const Columns& of, const Eight& pack) const {
    using V = cuda::Values<float, 8>;
    const V z = cuda::widen(std::bit_cast<cuda::Pack<bf16, 8>>(pack)) * of.scale + of.shift;
    const V g = V::map([](float z_n) { return gelu_of<bf16>(z_n); }, z);
    return std::bit_cast<Eight>(cuda::narrow<bf16, 8>(g.at));
  }
};

// What a thread has of the halo of a tile, put into shared memory: 8 channels, from `channel` + c
// on, of every so many pixels of a line, in every so many lines; 16 threads have a line. Zeros
// outside the map, and where there are no more channels.
template <int kChannels, class Source>
__device__ __forceinline__ void load_halo(const Source& source, const Window& w, const Tiles& tiles,
                                          const Tiles::First& first, int channel, bf16* halo) {
  constexpr int team = 16, packs = kChannels / 8, step = team / packs, ld = kChannels + kGap;
  const int member = int(threadIdx.x) % team;
  const int c = member % packs * 8;
  const bool has_channels = channel + c < w.C;
  channel = has_channels ? channel + c : 0;
#pragma unroll 1
  for (int line = int(threadIdx.x) / team; line < tiles.lines(); line += int(blockDim.x) / team) {
    const int local = line / tiles.halo_rows;
    const int image = first.image + local;
    const int y = first.u * w.step + w.y.start + line - local * tiles.halo_rows;
    const int left = first.v * w.step + w.x.start;
    const bool line_there = has_channels && image < w.B && unsigned(y) < unsigned(w.y.in);
    bf16* to = halo + line * tiles.places * ld + c;
    auto place = [&](int i) { return to + Tiles::place(w.step, i, tiles.places) * ld; };
    auto there = [&](int i) { return line_there && unsigned(left + i) < unsigned(w.x.in); };
    if constexpr (Source::in_memory) {
#pragma unroll 2
      for (int i = member / packs; i < tiles.halo_columns; i += step)
        source.copy(place(i), image, y, left + i, channel, there(i));
    } else {
      constexpr int kBatch = Source::at_once;  // pixels whose loads are under way together
      const auto columns = source.columns(channel);
      for (int i = member / packs; i < tiles.halo_columns; i += kBatch * step) {
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
