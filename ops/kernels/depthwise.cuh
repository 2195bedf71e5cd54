// The kernels of depthwise convolutions, for depthwise_conv2d.cu and gelu_depthwise_conv2d.cu. Maps
// are (B, H, W, C), the filter is w (C, k k), k = 2 r + 1.
//
// A thread keeps to N neighbouring channels of P neighbouring columns and walks down some rows, a
// strip. It reads each row of x once, P + k - 1 pixels wide, and adds it to the k rows of y that it
// reaches, whose sums wait in a ring of registers (weight gradient: multiplies it by k rows of dy,
// which wait there). As soon as a pixel is in use, the one below it is on its way. Threads (tx, ty)
// of a block: x counts groups of N channels, so that a warp reads whole sectors, y counts strips.
#pragma once
#include <algorithm>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"
#include "core/storage.h"
#include "ops/kernels/extents.h"

namespace rmt::gpu::depthwise {

constexpr int kThreads = 128, kLanes = 32;  // of a block; its largest tx
constexpr int kColumns = 4;                 // P: a row of 4 + k - 1 pixels is read for 4

// N: what keeps k k taps, or their sums, in registers.
template <class T>
constexpr int kChannels = 8 / int(sizeof(Wide<T>));

// Rows of a strip at most (RMT's maps have 56, 28, 14, 7): the 2 r rows that two strips read both
// are a small part, and there are enough strips for a GPU.
template <int K>
constexpr int kRows = K == 3 ? 14 : 28;

// Blocks that a multiprocessor has registers for.
template <class T, int K>
constexpr int kResident = (K == 3 ? 4 : 2) + (sizeof(T) == 2);

struct Strips {
  int H, W, C, rows, segments, groups;  // a segment: `rows` rows; a group: kColumns columns
  int64_t count;                        // counted over groups, then segments, then images
  Strips(const Map& m, int most)
      : H(int(m.H)),
        W(int(m.W)),
        C(int(m.C)),
        segments(int(cuda::blocks_for(m.H, most))),
        groups(int(cuda::blocks_for(m.W, kColumns))) {
    rows = int(cuda::blocks_for(m.H, segments));
    count = m.B * segments * groups;
  }
};

// One of them.
template <int P, int r>
struct Strip {
  int64_t first;           // index of the element at row 0, column `column` and channel 0
  int column, begin, end;  // columns [column, column + P), rows [begin, end)
  unsigned inside = 0;     // bit i: column - r + i lies in the map
  __device__ Strip(const Strips& s, int64_t number) {
    const int64_t segment = number / s.groups;
    column = int(number % s.groups) * P;
    begin = int(segment % s.segments) * s.rows;
    end = min(begin + s.rows, s.H);
    first = (segment / s.segments * s.H * s.W + column) * s.C;
#pragma unroll
    for (int i = 0; i < P + 2 * r; ++i)
      inside |= unsigned(column - r + i) < unsigned(s.W) ? 1u << i : 0u;
  }
};

// N channels of a pixel as they are in memory, in registers of 32 bits (which 16-bit variables
// would not share).
template <class T, int N>
struct Pixel {
  static constexpr bool is_half = std::is_same_v<T, bf16> && N % 2 == 0;
  using Word = std::conditional_t<is_half, uint32_t, T>;
  cuda::Pack<Word, is_half ? N / 2 : N> word;
  __device__ __forceinline__ void load(const T* p, bool inside) {  // 0 outside
    word = {};
    if (inside) word = *reinterpret_cast<const decltype(word)*>(p);
  }
  __device__ __forceinline__ Wide<T> operator[](int n) const {
    if constexpr (is_half)
      return __uint_as_float(n % 2 ? word.at[n / 2] & 0xffff0000u : word.at[n / 2] << 16);
    else
      return Wide<T>(word.at[n]);
  }
};

// What happens to numbers on their way in (0 must stay 0), or out.
struct AsItIs {
  template <class W>
  __device__ __forceinline__ W operator()(W x) const {
    return x;
  }
};

// A functor Out with a member `more`, a map like y, is called out(sum, number of more at the same
// place); one without, out(sum).
template <class Out>
constexpr bool kTakesMore = requires(Out out) {
  out.more;
};

// y_p = out(bias + sum_t (w_t + centre [t = middle]) in(x_(p + t - r))), the taps in reverse order
// when `reversed`.
template <class T, int N, int K, class In, class Out>
__global__ void __launch_bounds__(kThreads, (kResident<T, K>))
    convolve_kernel(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Strips s,
                    bool reversed, Wide<T> centre, In in, Out out) {
  using W = Wide<T>;
  constexpr int P = kColumns, r = K / 2, KK = K * K;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width,
            channels = min(width, s.C - first);
  SHARED(W, staged, KK * kLanes * N);  // [tap][channel]
  for (int i = int(threadIdx.y * blockDim.x + threadIdx.x); i < channels * KK;
       i += int(blockDim.x * blockDim.y)) {
    const int t = i % KK;
    staged[(reversed ? KK - 1 - t : t) * width + i / KK] =
        w[int64_t(first) * KK + i] + (t == KK / 2 ? centre : W(0));
  }
  __syncthreads();
  const int64_t number = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  const int own = int(threadIdx.x) * N, c = first + own;
  if (own >= channels || number >= s.count) return;

  W tap[KK][N], start[N], sum[K][P][N] = {};
#pragma unroll
  for (int t = 0; t < KK; ++t)
#pragma unroll
    for (int n = 0; n < N; ++n) tap[t][n] = staged[t * width + own + n];
#pragma unroll
  for (int n = 0; n < N; ++n) start[n] = bias ? bias[c + n] : W(0);

  const Strip<P, r> strip(s, number);
  const int64_t stride = int64_t(s.W) * s.C, corner = strip.first + c;
  const int top = max(strip.begin - r, 0), bottom = min(strip.end + r, s.H);  // rows of x
  const T* below = x + (corner + top * stride - r * s.C);  // the row to be read next
  Pixel<T, N> next[P + K - 1];
#pragma unroll
  for (int i = 0; i < P + K - 1; ++i) next[i].load(below + i * s.C, strip.inside >> i & 1);
  Pixel<T, N> more[P];
  const int64_t at = corner + strip.begin * stride;  // the row of y that is done next
  T* to = y + at;
  [[maybe_unused]] const T* beside = nullptr;
  if constexpr (kTakesMore<Out>) beside = out.more + at;
  for (int base = strip.begin - r; base < strip.end + r; base += K) {
#pragma unroll
    for (int u = 0; u < K; ++u) {  // row `base + u` of x; row o of y has its sums in sum[(o -
                                   // begin) % K], and o - begin = base + u + r - ty - begin
      const int row = base + u, done = row - r;
      if (row >= strip.end + r) break;
#pragma unroll
      for (int p = 0; p < P; ++p)
#pragma unroll
        for (int n = 0; n < N; ++n)
          sum[u][p][n] = start[n];  // of the row that begins here, with ty = 0
      if constexpr (kTakesMore<Out>)
        if (done >= strip.begin)
#pragma unroll
          for (int p = 0; p < P; ++p) more[p].load(beside + p * s.C, strip.inside >> (r + p) & 1);
      if (row >= top && row < bottom) {
        below += stride;
        const unsigned inside = row + 1 < bottom ? strip.inside : 0;
        const T* from = below;
#pragma unroll
        for (int i = 0; i < P + K - 1; ++i, from += s.C) {
          W v[N];
#pragma unroll
          for (int n = 0; n < N; ++n) v[n] = in(next[i][n]);
          next[i].load(from, inside >> i & 1);
#pragma unroll
          for (int ty = 0; ty < K; ++ty)
#pragma unroll
            for (int p = 0; p < P; ++p)
              if (const int tx = i - p; tx >= 0 && tx < K)
#pragma unroll
                for (int n = 0; n < N; ++n)
                  sum[(u - ty + K) % K][p][n] += tap[ty * K + tx][n] * v[n];
        }
      }
      if (done < strip.begin) continue;
#pragma unroll
      for (int p = 0; p < P; ++p) {
        cuda::Values<W, N> result;
#pragma unroll
        for (int n = 0; n < N; ++n) {
          const W total = sum[(u + 1) % K][p][n];
          if constexpr (kTakesMore<Out>)
            result.at[n] = out(total, more[p][n]);
          else
            result.at[n] = out(total);
        }
        if (strip.inside >> (r + p) & 1) cuda::store<N>(to + p * s.C, result);
      }
      to += stride;
      if constexpr (kTakesMore<Out>) beside += stride;
    }
  }
}

// The same for every k and C, a thread to each element.
template <class T, class In, class Out>
__global__ void __launch_bounds__(kThreads)
    convolve_any_kernel(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Map m,
                        bool reversed, Wide<T> centre, In in, Out out) {
  using W = Wide<T>;
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= m.B * m.H * m.W * m.C) return;
  const int64_t pixel = at / m.C;
  const int C = int(m.C), c = int(at % C), column = int(pixel % m.W), line = int(pixel / m.W % m.H),
            k = int(m.k), r = int(m.r), taps = k * k;
  W sum = bias ? bias[c] : W(0);
  for (int ty = max(0, r - line); ty < min(k, int(m.H) + r - line); ++ty)
    for (int tx = max(0, r - column); tx < min(k, int(m.W) + r - column); ++tx) {
      const int t = ty * k + tx;
      const W tap =
          w[int64_t(c) * taps + (reversed ? taps - 1 - t : t)] + (t == taps / 2 ? centre : W(0));
      sum += tap * in(W(x[at + ((ty - r) * m.W + tx - r) * m.C]));
    }
  if constexpr (kTakesMore<Out>)
    y[at] = T(out(sum, W(out.more[at])));
  else
    y[at] = T(out(sum));
}

// Part by part sums of dw_t = sum_p dy_p in(x_(p + t - r)), then dbias = sum_p dy_p -> partial
// (parts, k k + 1, C). A block is a part; it takes every gridDim.x-th ty strips.
template <class T, int N, int K, class In>
__global__ void __launch_bounds__(kThreads, (kResident<T, K>))
    weight_gradient_kernel(const T* x, const T* dy, Wide<T>* partial, Strips s, In in) {
  using W = Wide<T>;
  constexpr int P = kColumns, r = K / 2, KK = K * K;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width,
            c = first + int(threadIdx.x) * N;
  W sum[KK + 1][N] = {};
  const int64_t step = int64_t(gridDim.x) * blockDim.y, stride = int64_t(s.W) * s.C;
  for (int64_t number = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; number < s.count && c < s.C;
       number += step) {
    const Strip<P, r> strip(s, number);
    const int64_t corner = strip.first + c;
    const int top = max(strip.begin - r, 0), bottom = min(strip.end + r, s.H);
    const T *below = x + (corner + top * stride - r * s.C),
            *below_dy = dy + (corner + strip.begin * stride);
    Pixel<T, N> next[P + K - 1], next_dy[P];
    W g[K][P][N] = {};
#pragma unroll
    for (int i = 0; i < P + K - 1; ++i) next[i].load(below + i * s.C, strip.inside >> i & 1);
#pragma unroll
    for (int p = 0; p < P; ++p) next_dy[p].load(below_dy + p * s.C, strip.inside >> (r + p) & 1);
    for (int base = strip.begin - r; base < bottom; base += K) {
#pragma unroll
      for (int u = 0; u < K;
           ++u) {  // row o of dy is in g[(o - begin) % K], as y is in convolve_kernel
        const int row = base + u;
        if (row >= bottom) break;
        below_dy += stride;
#pragma unroll
        for (int p = 0; p < P; ++p) {
#pragma unroll
          for (int n = 0; n < N; ++n)
            sum[KK][n] += g[u][p][n] = next_dy[p][n];  // of row `row + r`: ty = 0
          next_dy[p].load(below_dy + p * s.C,
                          row + r + 1 < strip.end && strip.inside >> (r + p) & 1);
        }
        if (row < top) continue;
        below += stride;
        const unsigned inside = row + 1 < bottom ? strip.inside : 0;
        const T* from = below;
#pragma unroll
        for (int i = 0; i < P + K - 1; ++i, from += s.C) {
          W v[N];
#pragma unroll
          for (int n = 0; n < N; ++n) v[n] = in(next[i][n]);
          next[i].load(from, inside >> i & 1);
#pragma unroll
          for (int ty = 0; ty < K; ++ty)
#pragma unroll
            for (int p = 0; p < P; ++p)
              if (const int tx = i - p; tx >= 0 && tx < K)
#pragma unroll
                for (int n = 0; n < N; ++n) sum[ty * K + tx][n] += g[(u - ty + K) % K][p][n] * v[n];
        }
      }
    }
  }
  // The strips of the block are added in order, K taps at a time.
  SHARED(W, shared, K * N * kThreads);  // [tap][n][ty][tx]
  const int thread = int(threadIdx.y * blockDim.x + threadIdx.x),
            threads = int(blockDim.x * blockDim.y);
#pragma unroll
  for (int t0 = 0; t0 <= KK; t0 += K) {
    constexpr int last = KK + 1;
    const int taps = min(K, last - t0);
#pragma unroll
    for (int t = 0; t < K; ++t)
#pragma unroll
      for (int n = 0; n < N; ++n)
        if (t0 + t <= KK)
          shared[(t * N + n) * kThreads + thread] = sum[t0 + t <= KK ? t0 + t : 0][n];
    __syncthreads();
    for (int i = thread; i < taps * width; i += threads) {
      const int t = i / width, at = i % width;
      W total = 0;
      for (unsigned strip = 0; strip < blockDim.y; ++strip)
        total += shared[(t * N + at % N) * kThreads + int(strip * blockDim.x) + at / N];
      if (first + at < s.C)
        partial[(int64_t(blockIdx.x) * (KK + 1) + t0 + t) * s.C + first + at] = total;
    }
    __syncthreads();
  }
}

// The same for every k and C: tap blockIdx.y, part blockIdx.z; threads (x, y): channel, row of the
// batch's rows.
template <class T, class In>
__global__ void __launch_bounds__(kThreads)
    weight_gradient_any_kernel(const T* x, const T* dy, Wide<T>* partial, Map m, In in) {
  using W = Wide<T>;
  SHARED(W, shared, kThreads);
  const int64_t c = int64_t(blockIdx.x) * kLanes + threadIdx.x;
  const int taps = int(m.k * m.k), t = int(blockIdx.y), r = int(m.r),
            ty = t < taps ? t / int(m.k) : r, tx = t < taps ? t % int(m.k) : r;
  W sum = 0;
  if (c < m.C)
    for (int64_t row = int64_t(blockIdx.z) * blockDim.y + threadIdx.y; row < m.B * m.H;
         row += int64_t(gridDim.z) * blockDim.y) {
      const int line = int(row % m.H) + ty - r;
      if (line < 0 || line >= m.H) continue;
      for (int column = max(0, r - tx); column < min(int(m.W), int(m.W) + r - tx); ++column) {
        const W d = W(dy[m.at(row, column) + c]);
        sum += t == taps ? d : d * in(W(x[m.at(row + ty - r, column + tx - r) + c]));
      }
    }
  shared[threadIdx.y * kLanes + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || c >= m.C) return;
  for (unsigned y = 1; y < blockDim.y; ++y) sum += shared[y * kLanes + threadIdx.x];
  partial[(int64_t(blockIdx.z) * (taps + 1) + t) * m.C + c] = sum;
}

// dw (C, k k), dbias (C) or null = sums over the parts of partial (parts, taps + 1, C), in order.
// Threads (x, y): channel, every ty-th part; a block to a tap.
template <class W>
__global__ void __launch_bounds__(1024)
    add_weight_gradients_kernel(const W* partial, W* dw, W* dbias, int parts, int taps, int C) {
  SHARED(double, shared, 1024);
  const int c = int(blockIdx.x * 32 + threadIdx.x), t = int(blockIdx.y);
  double sum = 0;
  if (c < C) {
#pragma unroll 8
    for (int p = int(threadIdx.y); p < parts; p += int(blockDim.y))
      sum += double(partial[(int64_t(p) * (taps + 1) + t) * C + c]);
  }
  shared[threadIdx.y * 32 + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || c >= C) return;
  for (unsigned y = 1; y < blockDim.y; ++y) sum += shared[y * 32 + threadIdx.x];
  if (t < taps)
    dw[int64_t(c) * taps + t] = W(sum);
  else if (dbias)
    dbias[c] = W(sum);
}

// (blocks of channels, tx, ty)
struct Blocks {
  unsigned tiles, tx, ty;
  explicit Blocks(int64_t groups)
      : tiles(unsigned(cuda::blocks_for(groups, kLanes))), tx(1), ty(0) {
    while (tx < kLanes && tx < groups) tx *= 2;
    ty = kThreads / tx;
  }
};

// Blocks of a weight gradient at most: each leaves sums of its own. Few in emulation, so that tests
// see blocks that have several strips.
inline int64_t most_parts(unsigned tiles) {
  return std::max<int64_t>(1, (cuda::emulated() ? 6 : 8 * 132) / tiles);
}

template <int k>
using Size = std::integral_constant<int, k>;

template <class T, class... P>
bool suits(const Map& m, int k, const T* x, const P*... p) {
  return m.k == k && m.C % kChannels<T> == 0 && cuda::aligned(x, p...);
}

template <class T, class In, class Out>
void convolve(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, const Map& m, bool reversed,
              Wide<T> centre, In in, Out out) {
  const int64_t n = m.B * m.H * m.W * m.C;
  if (n == 0) return;
  auto strips = [&](auto k) {
    constexpr int K = k, N = kChannels<T>;
    const Strips s(m, kRows<K>);
    const Blocks b(m.C / N);
    cuda::launch("depthwise_convolve", convolve_kernel<T, N, K, In, Out>,
                 dim3(unsigned(cuda::blocks_for(s.count, b.ty)), b.tiles), dim3(b.tx, b.ty), 0, x,
                 w, bias, y, s, reversed, centre, in, out);
  };
  if (suits(m, 3, x, y)) return strips(Size<3>());
  if (suits(m, 5, x, y)) return strips(Size<5>());
  cuda::launch("depthwise_convolve", convolve_any_kernel<T, In, Out>,
               dim3(unsigned(cuda::blocks_for(n, kThreads))), dim3(kThreads), 0, x, w, bias, y, m,
               reversed, centre, in, out);
}

// dw (C, k k), dbias (C) or null
template <class T, class In>
void weight_gradient(const T* x, const T* dy, Wide<T>* dw, Wide<T>* dbias, const Map& m, In in) {
  using W = Wide<T>;
  const int64_t taps = m.k * m.k;
  if (m.B * m.H * m.W == 0) {
    cuda::zero(dw, size_t(m.C * taps) * sizeof(W));
    if (dbias) cuda::zero(dbias, size_t(m.C) * sizeof(W));
    return;
  }
  auto sum = [&](int64_t parts, auto launch_parts) {
    const Storage partial(size_t(parts * (taps + 1) * m.C) * sizeof(W), Device::cuda);
    W* p = static_cast<W*>(partial.data());
    launch_parts(unsigned(parts), p);
    cuda::launch("add_weight_gradients", add_weight_gradients_kernel<W>,
                 dim3(unsigned(cuda::blocks_for(m.C, 32)), unsigned(taps + 1)),
                 dim3(32, unsigned(std::min<int64_t>(parts, 32))), 0, p, dw, dbias, parts, taps,
                 m.C);
  };
  auto strips = [&](auto k) {
    constexpr int K = k, N = kChannels<T>;
    const Strips s(m, kRows<K>);
    const Blocks b(m.C / N);
    sum(std::min(most_parts(b.tiles), cuda::blocks_for(s.count, b.ty)), [&](unsigned parts, W* p) {
      cuda::launch("depthwise_weight_gradient", weight_gradient_kernel<T, N, K, In>,
                   dim3(parts, b.tiles), dim3(b.tx, b.ty), 0, x, dy, p, s, in);
    });
  };
  if (suits(m, 3, x, dy)) return strips(Size<3>());
  if (suits(m, 5, x, dy)) return strips(Size<5>());
  sum(std::clamp<int64_t>(m.B * m.H / 8, 1, 128), [&](unsigned parts, W* p) {
    cuda::launch("depthwise_weight_gradient", weight_gradient_any_kernel<T, In>,
                 dim3(unsigned(cuda::blocks_for(m.C, kLanes)), unsigned(taps + 1), parts),
                 dim3(kLanes, kThreads / kLanes), 0, x, dy, p, m, in);
  });
}

}  // namespace rmt::gpu::depthwise
