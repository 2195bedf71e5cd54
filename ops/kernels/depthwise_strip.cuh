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
// What binds: a multiprocessor of an H200 executes some 5.3 instructions of a thread in the time
// that a byte takes (132 of 4 warps a clock at 1.75 GHz and 65 %, against 3.6 TB/s). A kernel that
// reads and writes a bf16 may spend 21 on it, of which 9 or 25 are the products. So a thread takes
// wide strips, whose pixels are converted once or little more, and keeps all sums in registers.
//
// Threads (tx, ty) of a block: x counts groups of N channels, so that a warp reads whole sectors of
// memory; y counts strips.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"
#include "core/cuda/limits.h"
#include "ops/kernels/extents.h"

namespace rmt::gpu::depthwise {

// Threads of a block, and the most of them side by side in x.
constexpr int kThreads = 128, kLanes = 32;
// P: RMT's maps, 56, 28, 14 and 7 wide, are cut without a rest. Few where a kernel has more sums.
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

// All strips of a batch. They are counted over the groups of columns, then over the segments of
// rows, then over the images.
struct Strips {
  int H, W, C;
  int rows, segments;  // of a segment; of a map
  int groups;          // of P columns, of a map
  int count;
  Strips(const Map& m, int P)
      : H(int(m.H)),
        W(int(m.W)),
        C(int(m.C)),
        segments(int(cuda::blocks_for(m.H, kRows))),
        groups(int(cuda::blocks_for(m.W, P))) {
    rows = int(cuda::blocks_for(m.H, segments));
    const int64_t strips = m.B * segments * groups;
    CHECK(strips < 1 << 30, "depthwise convolution: ", strips,
          " strips of a map, expected fewer than 2^30; take a part of the batch at a time");
    count = int(strips);
  }
  // Blocks below each other for a convolution: for strips of few rows a thread takes several, where
  // there are many, so that reading the taps does not count.
  unsigned blocks(const Blocks& b) const {
    const int64_t all = cuda::blocks_for(count, b.ty);
    const int64_t each = all * b.tiles / cuda::limits().parts;
    return unsigned(cuda::blocks_for(all, std::clamp<int64_t>(each, 1, kRows / rows)));
  }
};

// Strip number `number`: the columns [column, column + P) and the rows [begin, end) of an image.
template <int P, int r>
struct Strip {
  int64_t first;  // number of the pixel at row 0, column `column` of the image
  int column, begin, end;
  int top, bottom;      // rows of x that the strip's rows reach, [top, bottom)
  unsigned inside = 0;  // bit i: column - r + i lies in the map
  __device__ Strip(const Strips& s, int number) {
    const int segment = number / s.groups;
    column = number % s.groups * P;
    begin = segment % s.segments * s.rows;
    end = min(begin + s.rows, s.H);
    top = max(begin - r, 0);
    bottom = min(end + r, s.H);
    first = int64_t(segment / s.segments) * s.H * s.W + column;
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

// The next row of a strip, `width` pixels of N channels, on its way into registers. Of these
// only the first and the last `edge` may lie outside the map.
template <class T, int N, int width, int edge>
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
    for (int i = 0; i < width; ++i) load(i);
  }

  __device__ __forceinline__ void load(int i) {
    const bool surely = i >= edge && i < width - edge;
    pixel[i].load(at + i * beside, surely || (inside >> i & 1));
  }

  // f(i, pixel i) for the row, while the row below begins to be loaded; without `another` below it
  // the row itself once more, which is not used.
  template <class F>
  __device__ __forceinline__ void take_pixels(bool another, const F& f) {
    at += another ? stride : 0;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const Pixel<T, N> now = pixel[i];
      load(i);
      f(i, now);
    }
  }
  // The same with in() of the pixel's channels.
  template <class In, class F>
  __device__ __forceinline__ void take(bool another, const In& in, const F& f) {
    take_pixels(another, [&](int i, const Pixel<T, N>& now) { f(i, values_of(now, in)); });
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
// in.both(x). Or to a sum on its way out. Here: nothing. most_k: there are kernels of strips for
// filters of k = 3 and 5 up to that; for others, the general ones.
template <class W>
struct ValueAndSlope {
  W value, slope;
};
struct AsItIs {
  static constexpr int most_k = 5;
  template <class W>
  __device__ __forceinline__ W operator()(W x) const {
    return x;
  }
  template <class W>
  __device__ __forceinline__ ValueAndSlope<W> both(W x) const {
    return {x, W(1)};
  }
};

// Pixels at either end of a row, `width` wide with r on each side of the strip, that may lie
// outside the map. whole: the strips cover the map without a rest.
template <int width, int r, bool whole>
constexpr int kEdge = whole ? r : width;

// f(std::bool_constant<whole>()). In f32 and f64 it is not worth kernels of their own.
template <class T, class F>
void with_whole(int64_t W, int P, const F& f) {
  if constexpr (sizeof(T) == 2)
    if (W % P == 0) return f(std::true_type());
  f(std::false_type());
}

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
