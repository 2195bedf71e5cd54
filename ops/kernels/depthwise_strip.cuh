// How the CUDA kernels of depthwise convolutions divide a map (B, H, W, C), for depthwise.cuh and
// depthwise_gradient.cuh. The filter is w (C, k k), k = 2 r + 1.
//
// A thread keeps to N neighbouring channels and walks down a strip: P columns wide and at most
// kRows rows high. It reads each row of x once, P + k - 1 pixels wide, and as soon as a pixel is in
// use the one below it is on its way. The drawing is for k = 3, P = 4:
//
//                   column - r            column + P - 1 + r
//                        |  [     P pixels    ]  |
//       begin - r     ->   x    x    x    x    x    x         rows of x that are read
//       begin         ->   x  [ y    y    y    y ]  x      ^
//       ...                x  [ y    y    y    y ]  x      |  rows of the strip
//       end - 1       ->   x  [ y    y    y    y ]  x      v
//       end - 1 + r   ->   x    x    x    x    x    x
//
// Threads (tx, ty) of a block: x counts groups of N channels, so that a warp reads whole sectors of
// memory; y counts strips.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/extents.h"

namespace rmt::gpu::depthwise {

// Threads of a block, and the most of them side by side in x.
constexpr int kThreads = 128, kLanes = 32;
// P: RMT's maps, 56, 28, 14 and 7 wide, are cut without a rest.
constexpr int kColumns = 7, kFewColumns = 4;

// N: as many channels as leave room in the registers for k k taps, or their sums, of each.
template <class T>
constexpr int kChannels = 8 / int(sizeof(Wide<T>));

// Rows of a strip at most. The 2 r rows that two strips both read are then a small part, and there
// are enough strips for a GPU.
constexpr int kRows = 28;

// Blocks that a multiprocessor has registers for.
template <class T, int K>
constexpr int kResident = sizeof(T) == 2 ? (K == 3 ? 4 : 3) : 2;

// All strips of a batch. They are counted over the groups of columns, then over the segments of
// rows, then over the images.
struct Strips {
  int H, W, C;
  int rows, segments;  // of a segment; of a map
  int groups;          // of P columns, of a map
  int64_t count;
  Strips(const Map& m, int P)
      : H(int(m.H)),
        W(int(m.W)),
        C(int(m.C)),
        segments(int(cuda::blocks_for(m.H, kRows))),
        groups(int(cuda::blocks_for(m.W, P))) {
    rows = int(cuda::blocks_for(m.H, segments));
    count = m.B * segments * groups;
  }
};

// Strip number `number`: the columns [column, column + P) and the rows [begin, end) of an image.
template <int P, int r>
struct Strip {
  int64_t first;  // number of the pixel at row 0, column `column` of the image
  int column, begin, end;
  int top, bottom;      // rows of x that the strip's rows reach, [top, bottom)
  unsigned inside = 0;  // bit i: column - r + i lies in the map
  __device__ Strip(const Strips& s, int64_t number) {
    const int64_t segment = number / s.groups;
    column = int(number % s.groups) * P;
    begin = int(segment % s.segments) * s.rows;
    end = min(begin + s.rows, s.H);
    top = max(begin - r, 0);
    bottom = min(end + r, s.H);
    first = segment / s.segments * s.H * s.W + column;
#pragma unroll
    for (int i = 0; i < P + 2 * r; ++i)
      inside |= unsigned(column - r + i) < unsigned(s.W) ? 1u << i : 0u;
  }
  __device__ bool has_column(int p) const { return inside >> (r + p) & 1; }
};

// N channels of a pixel as they are in memory. Two bf16 share a register of 32 bits, which two
// variables of 16 bits would not.
template <class T, int N>
struct Pixel {
  static constexpr bool is_half = std::is_same_v<T, bf16> && N % 2 == 0;
  using Word = std::conditional_t<is_half, uint32_t, T>;
  cuda::Pack<Word, is_half ? N / 2 : N> word;
  // Those at p, or 0 for a pixel that is not inside the map.
  __device__ __forceinline__ void load(const T* p, bool inside) {
    word = {};
    if (inside) word = *reinterpret_cast<const decltype(word)*>(p);
  }
  // Channel n, to compute with.
  __device__ __forceinline__ Wide<T> operator[](int n) const {
    if constexpr (is_half)
      return __uint_as_float(n % 2 ? word.at[n / 2] & 0xffff0000u : word.at[n / 2] << 16);
    else
      return Wide<T>(word.at[n]);
  }
};

// The pixel's channels as numbers to compute with, after in() of each.
template <class T, int N, class In>
__device__ __forceinline__ cuda::Values<Wide<T>, N> values_of(const Pixel<T, N>& pixel,
                                                              const In& in) {
  cuda::Values<Wide<T>, N> v;
#pragma unroll
  for (int n = 0; n < N; ++n) v.at[n] = in(pixel[n]);
  return v;
}

// The next row of a strip, `width` pixels of N channels, on its way into registers.
template <class T, int N, int width>
struct NextRow {
  const T* at;      // its first pixel
  int64_t stride;   // to the row below
  int beside;       // to the pixel beside
  unsigned inside;  // bit i: pixel i lies in the map
  Pixel<T, N> pixel[width];

  __device__ __forceinline__ NextRow(const T* first_row, int64_t row_stride, int pixel_stride,
                                     unsigned inside_bits)
      : at(first_row), stride(row_stride), beside(pixel_stride), inside(inside_bits) {
#pragma unroll
    for (int i = 0; i < width; ++i) pixel[i].load(at + i * beside, inside >> i & 1);
  }

  // f(i, pixel i) for the row, while the row below begins to be loaded where there is `another`.
  template <class F>
  __device__ __forceinline__ void take_pixels(bool another, const F& f) {
    at += stride;
    const unsigned bits = another ? inside : 0;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const Pixel<T, N> now = pixel[i];
      pixel[i].load(at + i * beside, bits >> i & 1);
      f(i, now);
    }
  }
  // The same with in() of the pixel's channels.
  template <class In, class F>
  __device__ __forceinline__ void take(bool another, const In& in, const F& f) {
    take_pixels(another, [&](int i, const Pixel<T, N>& now) { f(i, values_of(now, in)); });
  }
};

// How many groups of channels lie side by side in a block (tx), how many strips below each other
// (ty), and how many such blocks all channels take (tiles).
struct Blocks {
  unsigned tiles, tx, ty;
  explicit Blocks(int64_t groups)
      : tiles(unsigned(cuda::blocks_for(groups, kLanes))), tx(1), ty(0) {
    while (tx < kLanes && tx < groups) tx *= 2;
    ty = kThreads / tx;
  }
};

// sum += a b, channel by channel.
template <class W, int N>
__device__ __forceinline__ void add_product(cuda::Values<W, N>& sum, const cuda::Values<W, N>& a,
                                            const cuda::Values<W, N>& b) {
#pragma unroll
  for (int n = 0; n < N; ++n) sum.at[n] += a.at[n] * b.at[n];
}

// What happens to a number of x on its way in (0 must stay 0): in(x), and with its derivative
// in.both(x). Or to a sum on its way out. Here: nothing.
template <class W>
struct ValueAndSlope {
  W value, slope;
};
struct AsItIs {
  template <class W>
  __device__ __forceinline__ W operator()(W x) const {
    return x;
  }
  template <class W>
  __device__ __forceinline__ ValueAndSlope<W> both(W x) const {
    return {x, W(1)};
  }
};

template <int k>
using Size = std::integral_constant<int, k>;

// Are all channels and pixels of these tensors in packs that one access moves?
template <class T>
struct Tensors {
  const T* p;
  int64_t stride;
};
template <class T>
bool suits(const Map& m, int k, std::initializer_list<Tensors<T>> tensors) {
  constexpr int N = kChannels<T>;
  return m.k == k && m.C % N == 0 &&
         std::all_of(tensors.begin(), tensors.end(), [](const Tensors<T>& t) {
           return reinterpret_cast<uintptr_t>(t.p) % (N * sizeof(T)) == 0 && t.stride % N == 0;
         });
}

}  // namespace rmt::gpu::depthwise
