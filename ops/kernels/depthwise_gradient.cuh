// The gradients of a depthwise convolution, for depthwise_conv2d.cu and gelu_depthwise_conv2d.cu:
//
//   dx_q = in'(x_q) sum_t w_t dy_(q + r - t)                          t over the k x k taps
//   dw_t = sum_q in(x_q) dy_(q + r - t),   dbias = sum_q dy_q
//
// Both need the same k x k window of dy around each pixel q, and of x the pixel alone. So for k
// = 3 one kernel gives both: a thread walks down strips (depthwise_strip.cuh) with three rows of
// dy and the 9 + 1 sums of its channels in registers. The rows of dy lie in a ring; for a strip
// that begins at row 0:
//
//     row q of x        0      1      2      3
//     ring[0]           0     dy2    dy2    dy2
//     ring[1]          dy0    dy0    dy3    dy3
//     ring[2]          dy1    dy1    dy1    dy4
//
// For k = 5 the taps, the sums and the window do not fit: dx is a convolution, dw has a kernel of
// its own. Then, in a fixed order: the strips of a block are added, each block leaves a part, and
// the parts are added.
#pragma once
#include "core/storage.h"
#include "ops/kernels/depthwise.cuh"

namespace rmt::gpu::depthwise {

// Adds the sums of the block's strips in order, K taps at a time, -> part (k k + 1, C), of which
// the block's channels begin at `first`. The last sum is dbias.
template <int K, int N, class W>
__device__ __forceinline__ void add_strips(const cuda::Values<W, N> (&sum)[K * K + 1], W* part,
                                           int first, int C) {
  constexpr int sums = K * K + 1;
  SHARED(W, shared, K * N * kThreads);  // [tap][n][ty][tx]
  const int thread = int(threadIdx.y * blockDim.x + threadIdx.x);
  const int threads = int(blockDim.x * blockDim.y), width = int(blockDim.x) * N;
#pragma unroll
  for (int t0 = 0; t0 < sums; t0 += K) {
    const int taps = min(K, sums - t0);
#pragma unroll
    for (int t = 0; t < K; ++t)
#pragma unroll
      for (int n = 0; n < N; ++n)
        if (t0 + t < sums)
          shared[(t * N + n) * kThreads + thread] = sum[t0 + t < sums ? t0 + t : 0].at[n];
    __syncthreads();
    for (int i = thread; i < taps * width; i += threads) {
      const int t = i / width, at = i % width;
      W total = 0;
      for (unsigned strip = 0; strip < blockDim.y; ++strip)
        total += shared[(t * N + at % N) * kThreads + int(strip * blockDim.x) + at / N];
      if (first + at < C) part[int64_t(t0 + t) * C + first + at] = total;
    }
    __syncthreads();
  }
}

// in() of a pixel's channels, and its derivative.
template <class T, int N, class In, class V>
__device__ __forceinline__ void split(const Pixel<T, N>& pixel, const In& in, V& value, V& slope) {
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const auto both = in.both(pixel[n]);
    value.at[n] = both.value;
    slope.at[n] = both.slope;
  }
}

template <class W, int N, int width>
__device__ __forceinline__ void set_zero(cuda::Values<W, N> (&row)[width]) {
#pragma unroll
  for (int i = 0; i < width; ++i) row[i] = cuda::Values<W, N>(0);
}

// dx, and -> partial (parts, 10, C), dbias behind dw. A block is a part; it takes every
// gridDim.x-th ty strips.
template <class T, int N, bool whole, class In>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 ? 3 : 2)
    backward_kernel(const T* x, int x_stride, const T* dy, const Wide<T>* w, T* dx, int dx_stride,
                    Wide<T>* partial, Strips s, Wide<T> centre, In in) {
  using Values = cuda::Values<Wide<T>, N>;
  constexpr int K = 3, P = kColumns, KK = K * K;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width;
  const int own = int(threadIdx.x) * N, c = first + own;
  SHARED(Wide<T>, staged, KK * kLanes * N);
  stage_taps<K>(w + int64_t(first) * KK, staged, min(width, s.C - first), width, false, centre);
  __syncthreads();
  Values tap[KK], sum[KK + 1] = {};
#pragma unroll
  for (int t = 0; t < KK; ++t)
#pragma unroll
    for (int n = 0; n < N; ++n) tap[t].at[n] = c < s.C ? staged[t * width + own + n] : 0;
  const int step = int(gridDim.x * blockDim.y);
  for (int number = int(blockIdx.x * blockDim.y + threadIdx.y); number < s.count && c < s.C;
       number += step) {
    const Strip<P, 1> strip(s, number);
    const int64_t pixel = strip.first + strip.begin * s.W;
    NextRow<T, N, P + 2, kEdge<P + 2, 1, whole>> next_dy(
        dy + ((strip.first + strip.top * s.W - 1) * s.C + c), int64_t(s.W) * s.C, s.C,
        strip.inside);
    NextRow<T, N, P, kEdge<P, 0, whole>> next(x + (pixel * x_stride + c), int64_t(s.W) * x_stride,
                                              x_stride, strip.inside >> 1);
    T* to = dx ? dx + (pixel * dx_stride + c) : nullptr;
    Values ring[K][P + 2];
#pragma unroll 1
    for (int base = strip.begin - 2; base < strip.end; base += K) {
#pragma unroll
      for (int u = 0; u < K; ++u) {  // dy's row `below` comes into ring[u]
        const int row = base + u, below = row + 1;
        if (row >= strip.end) break;
        if (below >= strip.top && below < strip.bottom)
          next_dy.take(below + 1 < strip.bottom, AsItIs(),
                       [&](int i, const Values& v) { ring[u][i] = v; });
        else
          set_zero(ring[u]);
        if (row < strip.begin) continue;
        next.take_pixels(row + 1 < strip.end, [&](int p, const Pixel<T, N>& pixel_x) {
          Values result = Values(0), value, slope;
          split(pixel_x, in, value, slope);
#pragma unroll
          for (int t = 0; t < KK; ++t) {
            const Values& v = ring[(u + 3 - t / K) % K][p + 2 - t % K];  // dy_(q + r - t)
            add_product(result, tap[t], v);
            add_product(sum[t], value, v);
          }
          sum[KK] += ring[(u + 2) % K][p + 1];
          if (to && (whole || strip.has_column(p)))
            cuda::store<N>(to + p * dx_stride, result * slope);
        });
        if (to) to += int64_t(s.W) * dx_stride;
      }
    }
  }
  add_strips<K>(sum, partial + int64_t(blockIdx.x) * (KK + 1) * s.C, first, s.C);
}

// -> partial (parts, k k + 1, C), dbias behind dw. A block is a part; it takes every gridDim.x-th
// ty strips.
template <class T, int N, int K, bool whole, class In>
__global__ void __launch_bounds__(kThreads, (kResident<T, K>))
    weight_gradient_kernel(const T* x, int x_stride, const T* dy, Wide<T>* partial, Strips s,
                           In in) {
  using Values = cuda::Values<Wide<T>, N>;
  constexpr int P = kFewColumns, r = K / 2, KK = K * K, reach = P + K - 1;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width;
  const int c = first + int(threadIdx.x) * N;
  Values sum[KK + 1] = {};
  const int step = int(gridDim.x * blockDim.y);
  for (int number = int(blockIdx.x * blockDim.y + threadIdx.y); number < s.count && c < s.C;
       number += step) {
    const Strip<P, r> strip(s, number);
    NextRow<T, N, reach, kEdge<reach, r, whole>> next(
        x + ((strip.first + strip.top * s.W - r) * x_stride + c), int64_t(s.W) * x_stride, x_stride,
        strip.inside);
    NextRow<T, N, P, kEdge<P, 0, whole>> next_dy(dy + ((strip.first + strip.begin * s.W) * s.C + c),
                                                 int64_t(s.W) * s.C, s.C, strip.inside >> r);
    Values dy_rows[K][P] = {};  // row o, counted from the strip's first, in dy_rows[o % K]
    for (int base = strip.begin - r; base < strip.bottom; base += K) {
#pragma unroll
      for (int u = 0; u < K; ++u) {  // u = (row - first row) % K, known when this is compiled
        const int row = base + u;    // of x; row + r is the last row of dy that reaches it
        if (row >= strip.bottom) break;
        if (row + r < strip.end)
          next_dy.take(row + r + 1 < strip.end, AsItIs(), [&](int p, const Values& dy_p) {
            dy_rows[u][p] = dy_p;
            sum[KK] += dy_p;
          });
        else
          set_zero(dy_rows[u]);
        if (row < strip.top) continue;
        next.take(row + 1 < strip.bottom, in, [&](int i, const Values& v) {
#pragma unroll
          for (int ty = 0; ty < K; ++ty)
#pragma unroll
            for (int p = 0; p < P; ++p)
              if (const int tx = i - p; tx >= 0 && tx < K)
                add_product(sum[ty * K + tx], dy_rows[(u - ty + K) % K][p], v);
        });
      }
    }
  }
  add_strips<K>(sum, partial + int64_t(blockIdx.x) * (KK + 1) * s.C, first, s.C);
}

// The same by definition, for every k and C: tap blockIdx.y (the last one: dbias), part blockIdx.z;
// threads (x, y): channel, one of the batch's rows.
template <class T, class In>
__global__ void __launch_bounds__(kThreads)
    weight_gradient_any_kernel(const T* x, int64_t x_stride, const T* dy, Wide<T>* partial, Map m,
                               In in) {
  using W = Wide<T>;
  SHARED(W, shared, kThreads);
  const int64_t c = int64_t(blockIdx.x) * kLanes + threadIdx.x;
  const int taps = int(m.k * m.k), t = int(blockIdx.y), r = int(m.r);
  const int ty = t < taps ? t / int(m.k) : r, tx = t < taps ? t % int(m.k) : r;
  W sum = 0;
  if (c < m.C)
    for (int64_t row = int64_t(blockIdx.z) * blockDim.y + threadIdx.y; row < m.B * m.H;
         row += int64_t(gridDim.z) * blockDim.y) {
      const int line = int(row % m.H) + ty - r;
      if (line < 0 || line >= m.H) continue;
      for (int column = max(0, r - tx); column < min(int(m.W), int(m.W) + r - tx); ++column) {
        const W dy_p = W(dy[m.at(row, column) + c]);
        sum += t == taps ? dy_p
                         : dy_p * in(W(x[((row + ty - r) * m.W + column + tx - r) * x_stride + c]));
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

// Launches it.
template <class W>
void add_weight_gradients(const W* partial, W* dw, W* dbias, int64_t parts, int64_t taps,
                          int64_t C) {
  cuda::launch("add_weight_gradients", add_weight_gradients_kernel<W>,
               dim3(unsigned(cuda::blocks_for(C, 32)), unsigned(taps + 1)),
               dim3(32, unsigned(std::min<int64_t>(parts, 32))), 0, partial, dw, dbias, parts, taps,
               C);
}

// Blocks that leave sums at most, with so many tiles of channels: as many as run at once, 3 of
// the 8 for each multiprocessor that limits() counts. Then no block waits for another to end.
inline int64_t most_parts(unsigned tiles) {
  return std::max<int64_t>(1, cuda::limits().parts * 3 / 8 / tiles);
}

// in'(x) times the sum: out() of a convolution that gives dx.
template <class T, class In>
struct TimesSlope {
  static constexpr int most_k = 0;
  In in;
  const T* more;
  __device__ __forceinline__ Wide<T> operator()(Wide<T> sum, Wide<T> x) const {
    return sum * in.both(x).slope;
  }
};

// x, dy, w (C, k k) -> dx or null; dw (C, k k) and dbias (C), or dbias null, or both. `centre` is
// added to the middle of w.
template <class T, class In>
void backward(const T* x, int64_t x_stride, const T* dy, const Wide<T>* w, T* dx, int64_t dx_stride,
              Wide<T>* dw, Wide<T>* dbias, const Map& m, Wide<T> centre, In in) {
  using W = Wide<T>;
  constexpr int N = kChannels<T>;
  const int64_t taps = m.k * m.k;
  if (m.B * m.H * m.W == 0) {
    if (dw) cuda::zero(dw, m.C * taps * sizeof(W));
    if (dbias) cuda::zero(dbias, m.C * sizeof(W));
    return;
  }
  auto sum = [&](int64_t parts, auto launch_parts) {
    const Storage partial(parts * (taps + 1) * m.C * sizeof(W), Device::cuda);
    W* p = static_cast<W*>(partial.data());
    launch_parts(unsigned(parts), p);
    if (dw) add_weight_gradients<W>(p, dw, dbias, parts, taps, m.C);
  };
  const Blocks b(m.C / N);
  auto parts = [&](const Strips& s) {
    return std::min(most_parts(b.tiles), cuda::blocks_for(s.count, b.ty));
  };
  if (suits<T>(m, 3, {{x, x_stride}, {dy, m.C}, {dx, dx_stride}})) {
    const Strips s(m, kColumns);
    return sum(parts(s), [&](unsigned blocks, W* p) {
      with_whole<T>(m.W, kColumns, [&](auto whole) {
        cuda::launch("depthwise_backward", backward_kernel<T, N, whole, In>, dim3(blocks, b.tiles),
                     dim3(b.tx, b.ty), 0, x, x_stride, dy, w, dx, dx_stride, p, s, centre, in);
      });
    });
  }

  if (dx) {
    if constexpr (std::is_same_v<In, AsItIs>)
      convolve<T>(dy, m.C, w, nullptr, dx, dx_stride, m, true, centre, AsItIs(), AsItIs());
    else
      convolve<T>(dy, m.C, w, nullptr, dx, dx_stride, m, true, centre, AsItIs(),
                  TimesSlope<T, In>{in, x});
  }
  if (!dw) return;
  if constexpr (In::most_k >= 5)
    if (suits<T>(m, 5, {{x, x_stride}, {dy, m.C}})) {
      const Strips s(m, kFewColumns);
      return sum(parts(s), [&](unsigned blocks, W* p) {
        with_whole<T>(m.W, kFewColumns, [&](auto whole) {
          cuda::launch("depthwise_weight_gradient", weight_gradient_kernel<T, N, 5, whole, In>,
                       dim3(blocks, b.tiles), dim3(b.tx, b.ty), 0, x, x_stride, dy, p, s, in);
        });
      });
    }
  sum(std::clamp<int64_t>(m.B * m.H / 8, 1, 128), [&](unsigned blocks, W* p) {
    cuda::launch("depthwise_weight_gradient", weight_gradient_any_kernel<T, In>,
                 dim3(unsigned(cuda::blocks_for(m.C, kLanes)), unsigned(taps + 1), blocks),
                 dim3(kLanes, kThreads / kLanes), 0, x, x_stride, dy, p, m, in);
  });
}

}  // namespace rmt::gpu::depthwise
