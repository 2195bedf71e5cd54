// The kernels of depthwise convolutions, for depthwise_conv2d.cu and gelu_depthwise_conv2d.cu. Maps are (B, H, W, C), the filter is w (C, k k), k = 2 r + 1.
//
// A thread keeps to N neighbouring channels of P neighbouring columns and walks down some rows, a strip. It reads each row of x once, P + k - 1 pixels wide,
// and adds it to the k rows of y that it reaches, whose sums wait in a ring of registers (weight gradient: multiplies it by k rows of dy, which wait there).
// The row after it is on its way meanwhile. Threads (tx, ty) of a block: x counts groups of N channels, so that a warp reads whole sectors, y strips.
#pragma once
#include <algorithm>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"
#include "core/storage.h"
#include "ops/extents.h"

namespace rmt::gpu::depthwise {

constexpr int kThreads = 128, kLanes = 32;  // of a block; its largest tx
constexpr int kSegment = 14;                // rows of a strip at most; RMT's maps have 56, 28, 14, 7
constexpr int kParts = 8 * 132;             // blocks of a weight gradient at most: each leaves sums of its own

struct Strips {
  int H, W, C, rows, segments, groups;  // a segment: `rows` rows; a group: P columns
  int64_t count;                        // counted over groups, then segments, then images
  Strips(const Map& m, int P) : H(int(m.H)), W(int(m.W)), C(int(m.C)), segments(int(cuda::blocks_for(m.H, kSegment))), groups(int(cuda::blocks_for(m.W, P))) {
    rows = int(cuda::blocks_for(m.H, segments));
    count = m.B * segments * groups;
  }
};

// One of them.
template <int P>
struct Strip {
  int64_t image;
  int column, begin, end;  // columns [column, column + P), rows [begin, end)
  __device__ Strip(const Strips& s, int64_t i) {
    const int64_t segment = i / s.groups;
    image = segment / s.segments;
    column = int(i % s.groups) * P;
    begin = int(segment % s.segments) * s.rows;
    end = min(begin + s.rows, s.H);
  }
};

// Pixels of a row, N channels each.
template <class T, int N, int n>
struct Pixels {
  cuda::Pack<T, N> at[n];
  // Columns [column, column + n) of a row that begins at `row`; 0 outside the map.
  __device__ __forceinline__ void load(const T* row, int column, const Strips& s, bool exists) {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      at[i] = {};
      if (exists && unsigned(column + i) < unsigned(s.W)) at[i] = *reinterpret_cast<const cuda::Pack<T, N>*>(row + int64_t(column + i) * s.C);
    }
  }
};

// y_p = out(bias + sum_t (w_t + centre [t = middle]) in(x_(p + t - r)), p), the taps in reverse order when `reversed`. in(v): the numbers of x as they come
// in, 0 must stay 0; out(v, at): N sums on their way out, for the elements from `at` on.
template <class T, int N, int K, int P, class In, class Out>
__global__ void __launch_bounds__(kThreads)
    convolve_kernel(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Strips s, bool reversed, Wide<T> centre, In in, Out out) {
  using W = Wide<T>;
  constexpr int r = K / 2, KK = K * K;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width, channels = min(width, s.C - first);
  SHARED(W, staged, KK * kLanes * N);  // [tap][channel]
  for (int i = int(threadIdx.y * blockDim.x + threadIdx.x); i < channels * KK; i += int(blockDim.x * blockDim.y)) {
    const int t = i % KK;
    staged[(reversed ? KK - 1 - t : t) * width + i / KK] = w[int64_t(first) * KK + i] + (t == KK / 2 ? centre : W(0));
  }
  __syncthreads();
  const int64_t number = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  const int own = int(threadIdx.x) * N, c = first + own;
  if (own >= channels || number >= s.count) return;

  W tap[KK][N], start[N], sum[K][P][N];
#pragma unroll
  for (int t = 0; t < KK; ++t)
#pragma unroll
    for (int n = 0; n < N; ++n) tap[t][n] = staged[t * width + own + n];
#pragma unroll
  for (int n = 0; n < N; ++n) start[n] = bias ? bias[c + n] : W(0);

  const Strip<P> strip(s, number);
  const int64_t stride = int64_t(s.W) * s.C, map = strip.image * s.H * stride + c;
  Pixels<T, N, P + K - 1> next;
  auto fetch = [&](int row) { next.load(x + map + row * stride, strip.column - r, s, unsigned(row) < unsigned(s.H)); };
  fetch(strip.begin - r);
  for (int base = strip.begin - r; base < strip.end + r; base += K) {
#pragma unroll
    for (int u = 0; u < K; ++u) {  // row `base + u` of x; row o of y has its sums in sum[(o - begin) % K], and o - begin = base + u + r - ty - begin
      const int row = base + u, done = row - r;
      if (row >= strip.end + r) break;
      W v[P + K - 1][N];
#pragma unroll
      for (int i = 0; i < P + K - 1; ++i)
#pragma unroll
        for (int n = 0; n < N; ++n) v[i][n] = in(W(next.at[i].at[n]));
      if (row + 1 < strip.end + r) fetch(row + 1);
#pragma unroll
      for (int p = 0; p < P; ++p)
#pragma unroll
        for (int n = 0; n < N; ++n) sum[u][p][n] = start[n];  // of the row that begins here, with ty = 0
#pragma unroll
      for (int ty = 0; ty < K; ++ty) {
        if (row + r - ty < strip.begin || row + r - ty >= strip.end) continue;
#pragma unroll
        for (int tx = 0; tx < K; ++tx)
#pragma unroll
          for (int p = 0; p < P; ++p)
#pragma unroll
            for (int n = 0; n < N; ++n) sum[(u - ty + K) % K][p][n] += tap[ty * K + tx][n] * v[p + tx][n];
      }
      if (done < strip.begin) continue;
#pragma unroll
      for (int p = 0; p < P; ++p) {
        if (strip.column + p >= s.W) break;
        cuda::Values<W, N> result;
#pragma unroll
        for (int n = 0; n < N; ++n) result.at[n] = sum[(u + 1) % K][p][n];
        const int64_t at = map + done * stride + int64_t(strip.column + p) * s.C;
        cuda::store<N>(y + at, out(result, at));
      }
    }
  }
}

// The same for every k and C, a thread to each element.
template <class T, class In, class Out>
__global__ void __launch_bounds__(kThreads)
    convolve_any_kernel(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Map m, bool reversed, Wide<T> centre, In in, Out out) {
  using W = Wide<T>;
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= m.B * m.H * m.W * m.C) return;
  const int64_t pixel = at / m.C;
  const int C = int(m.C), c = int(at % C), column = int(pixel % m.W), line = int(pixel / m.W % m.H), k = int(m.k), r = int(m.r), taps = k * k;
  W sum = bias ? bias[c] : W(0);
  for (int ty = max(0, r - line); ty < min(k, int(m.H) + r - line); ++ty)
    for (int tx = max(0, r - column); tx < min(k, int(m.W) + r - column); ++tx) {
      const int t = ty * k + tx;
      const W tap = w[int64_t(c) * taps + (reversed ? taps - 1 - t : t)] + (t == taps / 2 ? centre : W(0));
      sum += tap * in(W(x[at + ((ty - r) * m.W + tx - r) * m.C]));
    }
  cuda::store<1>(y + at, out(cuda::Values<W, 1>{{sum}}, at));
}

// Part by part sums of dw_t = sum_p dy_p in(x_(p + t - r)), then dbias = sum_p dy_p -> partial (parts, k k + 1, C). A block is a part; it takes every
// gridDim.x-th ty strips.
template <class T, int N, int K, int P, class In>
__global__ void __launch_bounds__(kThreads) weight_gradient_kernel(const T* x, const T* dy, Wide<T>* partial, Strips s, In in) {
  using W = Wide<T>;
  constexpr int r = K / 2, KK = K * K;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width, c = first + int(threadIdx.x) * N;
  W sum[KK + 1][N] = {};
  const int64_t step = int64_t(gridDim.x) * blockDim.y, stride = int64_t(s.W) * s.C;
  for (int64_t number = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; number < s.count && c < s.C; number += step) {
    const Strip<P> strip(s, number);
    const int64_t map = strip.image * s.H * stride + c;
    W g[K][P][N];
    Pixels<T, N, P + K - 1> next;
    Pixels<T, N, P> next_dy;
    auto fetch = [&](int row) {  // of x, and the row of dy that comes with it: the one for ty = 0
      next.load(x + map + row * stride, strip.column - r, s, unsigned(row) < unsigned(s.H));
      next_dy.load(dy + map + (row + r) * stride, strip.column, s, row + r < strip.end);
    };
    fetch(strip.begin - r);
    for (int base = strip.begin - r; base < strip.end + r; base += K) {
#pragma unroll
      for (int u = 0; u < K; ++u) {  // row o of dy is in g[(o - begin) % K], as y is in convolve_kernel
        const int row = base + u;
        if (row >= strip.end + r) break;
        W v[P + K - 1][N];
#pragma unroll
        for (int i = 0; i < P + K - 1; ++i)
#pragma unroll
          for (int n = 0; n < N; ++n) v[i][n] = in(W(next.at[i].at[n]));
#pragma unroll
        for (int p = 0; p < P; ++p)
#pragma unroll
          for (int n = 0; n < N; ++n) sum[KK][n] += g[u][p][n] = W(next_dy.at[p].at[n]);
        if (row + 1 < strip.end + r) fetch(row + 1);
#pragma unroll
        for (int ty = 0; ty < K; ++ty) {
          if (row + r - ty < strip.begin || row + r - ty >= strip.end) continue;
#pragma unroll
          for (int tx = 0; tx < K; ++tx)
#pragma unroll
            for (int p = 0; p < P; ++p)
#pragma unroll
              for (int n = 0; n < N; ++n) sum[ty * K + tx][n] += g[(u - ty + K) % K][p][n] * v[p + tx][n];
        }
      }
    }
  }
  // The strips of the block are added in order, K taps at a time.
  SHARED(W, shared, K * N * kThreads);  // [tap][n][ty][tx]
  const int thread = int(threadIdx.y * blockDim.x + threadIdx.x), threads = int(blockDim.x * blockDim.y);
#pragma unroll
  for (int t0 = 0; t0 <= KK; t0 += K) {
    constexpr int last = KK + 1;
    const int taps = min(K, last - t0);
#pragma unroll
    for (int t = 0; t < K; ++t)
#pragma unroll
      for (int n = 0; n < N; ++n)
        if (t0 + t <= KK) shared[(t * N + n) * kThreads + thread] = sum[t0 + t <= KK ? t0 + t : 0][n];
    __syncthreads();
    for (int i = thread; i < taps * width; i += threads) {
      const int t = i / width, at = i % width;
      W total = 0;
      for (unsigned strip = 0; strip < blockDim.y; ++strip) total += shared[(t * N + at % N) * kThreads + int(strip * blockDim.x) + at / N];
      if (first + at < s.C) partial[(int64_t(blockIdx.x) * (KK + 1) + t0 + t) * s.C + first + at] = total;
    }
    __syncthreads();
  }
}

// The same for every k and C: tap blockIdx.y, part blockIdx.z; threads (x, y): channel, row of the batch's rows.
template <class T, class In>
__global__ void __launch_bounds__(kThreads) weight_gradient_any_kernel(const T* x, const T* dy, Wide<T>* partial, Map m, In in) {
  using W = Wide<T>;
  SHARED(W, shared, kThreads);
  const int64_t c = int64_t(blockIdx.x) * kLanes + threadIdx.x;
  const int taps = int(m.k * m.k), t = int(blockIdx.y), r = int(m.r), ty = t < taps ? t / int(m.k) : r, tx = t < taps ? t % int(m.k) : r;
  W sum = 0;
  if (c < m.C)
    for (int64_t row = int64_t(blockIdx.z) * blockDim.y + threadIdx.y; row < m.B * m.H; row += int64_t(gridDim.z) * blockDim.y) {
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

// dw (C, k k), dbias (C) or null = sums over the parts of partial (parts, taps + 1, C), in order. Threads (x, y): channel, every 32nd part; a block to a tap.
template <class W>
__global__ void __launch_bounds__(1024) add_weight_gradients_kernel(const W* partial, W* dw, W* dbias, int parts, int taps, int C) {
  SHARED(double, shared, 1024);
  const int c = int(blockIdx.x * 32 + threadIdx.x), t = int(blockIdx.y);
  double sum = 0;
  if (c < C) {
#pragma unroll 8
    for (int p = int(threadIdx.y); p < parts; p += 32) sum += double(partial[(int64_t(p) * (taps + 1) + t) * C + c]);
  }
  shared[threadIdx.y * 32 + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || c >= C) return;
  for (int y = 1; y < 32; ++y) sum += shared[y * 32 + threadIdx.x];
  if (t < taps)
    dw[int64_t(c) * taps + t] = W(sum);
  else if (dbias)
    dbias[c] = W(sum);
}

// (blocks of channels, tx, ty)
struct Blocks {
  unsigned tiles, tx, ty;
  explicit Blocks(int64_t groups) : tiles(unsigned(cuda::blocks_for(groups, kLanes))), tx(1), ty(0) {
    while (tx < kLanes && tx < groups) tx *= 2;
    ty = kThreads / tx;
  }
};

// Channels a thread: what keeps k k taps (or their sums) in registers.
template <class T, int K>
constexpr int kChannels = (K == 3 ? 16 : 8) / int(sizeof(Wide<T>));

template <int n>
using Number = std::integral_constant<int, n>;

template <int K, class T, class... P>
bool suits(const Map& m, const T* x, const P*... p) {
  return m.k == K && m.C % kChannels<T, K> == 0 && cuda::aligned(x, p...);
}

template <int K, int P, class T, class In, class Out>
void convolve_strips(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, const Map& m, bool reversed, Wide<T> centre, In in, Out out) {
  constexpr int N = kChannels<T, K>;
  const Strips s(m, P);
  const Blocks b(m.C / N);
  cuda::launch("depthwise_convolve", convolve_kernel<T, N, K, P, In, Out>, dim3(unsigned(cuda::blocks_for(s.count, b.ty)), b.tiles), dim3(b.tx, b.ty), 0, x, w,
               bias, y, s, reversed, centre, in, out);
}

// P3, P5: columns of a strip for k = 3, 5; 0: no kernel of its own.
template <int P3, int P5, class T, class In, class Out>
void convolve(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, const Map& m, bool reversed, Wide<T> centre, In in, Out out) {
  const int64_t n = m.B * m.H * m.W * m.C;
  if (n == 0) return;
  if (suits<3>(m, x, y)) return convolve_strips<3, P3>(x, w, bias, y, m, reversed, centre, in, out);
  if constexpr (P5 > 0)
    if (suits<5>(m, x, y)) return convolve_strips<5, P5>(x, w, bias, y, m, reversed, centre, in, out);
  cuda::launch("depthwise_convolve", convolve_any_kernel<T, In, Out>, dim3(unsigned(cuda::blocks_for(n, kThreads))), dim3(kThreads), 0, x, w, bias, y, m,
               reversed, centre, in, out);
}

// dw (C, k k), dbias (C) or null
template <int P3, int P5, class T, class In>
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
    cuda::launch("add_weight_gradients", add_weight_gradients_kernel<W>, dim3(unsigned(cuda::blocks_for(m.C, 32)), unsigned(taps + 1)), dim3(32, 32), 0, p, dw,
                 dbias, parts, taps, m.C);
  };
  auto strips = [&](auto k, auto columns) {
    constexpr int K = k, P = columns, N = kChannels<T, K>;
    const Strips s(m, P);
    const Blocks b(m.C / N);
    sum(std::clamp<int64_t>(kParts / b.tiles, 1, cuda::blocks_for(s.count, b.ty)), [&](unsigned parts, W* p) {
      cuda::launch("depthwise_weight_gradient", weight_gradient_kernel<T, N, K, P, In>, dim3(parts, b.tiles), dim3(b.tx, b.ty), 0, x, dy, p, s, in);
    });
  };
  if (suits<3>(m, x, dy)) return strips(Number<3>(), Number<P3>());
  if constexpr (P5 > 0)
    if (suits<5>(m, x, dy)) return strips(Number<5>(), Number<P5>());
  sum(std::clamp<int64_t>(m.B * m.H / 8, 1, 128), [&](unsigned parts, W* p) {
    cuda::launch("depthwise_weight_gradient", weight_gradient_any_kernel<T, In>, dim3(unsigned(cuda::blocks_for(m.C, kLanes)), unsigned(taps + 1), parts),
                 dim3(kLanes, kThreads / kLanes), 0, x, dy, p, m, in);
  });
}

}  // namespace rmt::gpu::depthwise
