// y = depthwise convolution of x, for depthwise_conv2d.cu and gelu_depthwise_conv2d.cu:
//
//   y_p = out(bias + sum_t w_t in(x_(p + t - r)))       t over the k x k taps, k = 2 r + 1
//
// A thread walks down a strip (depthwise_strip.cuh). A row of x adds to the k rows of y that it
// reaches, whose sums wait in registers, sum[j] for the row of y that is j - r below the row of x.
// From a row of x to the next each sum moves up by one place, at no cost: the first product that is
// added to it takes it from the old place to the new one. For k = 3:
//
//     row of x     4        5        6
//     sum[0]      y3 ty2   y4 ty2   y5 ty2        complete: stored
//                      \.       \.
//     sum[1]      y4 ty1   y5 ty1   y6 ty1
//                      \.       \.
//     sum[2]      y5 ty0   y6 ty0   y7 ty0        begins from the bias
//
// So every number of x is loaded once.
#pragma once
#include "ops/kernels/depthwise_strip.cuh"

namespace rmt::gpu::depthwise {

// A functor Out with a member `more`, a map that lies as y does, is called out(sum, number of more
// at the same place); one without, out(sum).
template <class Out>
constexpr bool kTakesMore = requires(Out out) {
  out.more;
};

// The filters w (channels, k k) of a block -> staged (k k, width), where channels lie side by side;
// the taps in reverse order when `reversed`, `centre` added to the one in the middle.
template <int K, class W>
__device__ __forceinline__ void stage_taps(const W* w, W* staged, int channels, int width,
                                           bool reversed, W centre) {
  constexpr int KK = K * K;
  const int thread = int(threadIdx.y * blockDim.x + threadIdx.x);
  const int threads = int(blockDim.x * blockDim.y);
  for (int i = thread; i < channels * KK; i += threads) {
    const int t = i % KK, to = reversed ? KK - 1 - t : t;
    staged[to * width + i / KK] = w[i] + (t == KK / 2 ? centre : W(0));
  }
}

// The rows of a strip of y, written one after the other.
template <class T, int N, int P, class Out>
struct RowsOfY {
  using W = Wide<T>;
  const Out& out;
  T* to;
  int64_t place;  // in y
  int64_t stride;
  int C;
  unsigned inside;  // bit p: column p of the strip lies in the map
  Pixel<T, N> more[P];

  __device__ __forceinline__ RowsOfY(const Out& f, T* y, int64_t first, int64_t row_stride,
                                     int channels, unsigned inside_bits)
      : out(f), to(y + first), place(first), stride(row_stride), C(channels), inside(inside_bits) {}

  // Begins to load what out() takes beside the sums of the next row.
  __device__ __forceinline__ void load_more() {
    if constexpr (kTakesMore<Out>)
#pragma unroll
      for (int p = 0; p < P; ++p) more[p].load(out.more + place + p * C, inside >> p & 1);
  }

  __device__ __forceinline__ void store(const cuda::Values<W, N> (&sum)[P]) {
#pragma unroll
    for (int p = 0; p < P; ++p) {
      cuda::Values<W, N> result;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        if constexpr (kTakesMore<Out>)
          result.at[n] = out(sum[p].at[n], more[p][n]);
        else
          result.at[n] = out(sum[p].at[n]);
      }
      if (inside >> p & 1) cuda::store<N>(to + p * C, result);
    }
    to += stride;
    place += stride;
  }
};

// y_p = out(bias + sum_t (w_t + centre [t = middle]) in(x_(p + t - r))), the taps in reverse order
// when `reversed`. A thread to each strip of N channels.
template <class T, int N, int K, int P, class In, class Out>
__global__ void __launch_bounds__(kThreads, (kResident<T, K>))
    convolve_kernel(const T* x, int x_stride, const Wide<T>* w, const Wide<T>* bias, T* y,
                    int y_stride, Strips s, bool reversed, Wide<T> centre, In in, Out out) {
  using W = Wide<T>;
  using Values = cuda::Values<W, N>;
  constexpr int r = K / 2, KK = K * K;
  const int width = int(blockDim.x) * N, first = int(blockIdx.y) * width;
  const int channels = min(width, s.C - first);  // of the block
  SHARED(W, staged, KK * kLanes * N);
  stage_taps<K>(w + int64_t(first) * KK, staged, channels, width, reversed, centre);
  __syncthreads();
  const int64_t number = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  const int own = int(threadIdx.x) * N, c = first + own;
  if (own >= channels || number >= s.count) return;

  Values tap[KK], start, sum[K][P];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    start.at[n] = bias ? bias[c + n] : W(0);
#pragma unroll
    for (int t = 0; t < KK; ++t) tap[t].at[n] = staged[t * width + own + n];
  }
#pragma unroll
  for (int j = 0; j < K; ++j)
#pragma unroll
    for (int p = 0; p < P; ++p) sum[j][p] = start;
  const Strip<P, r> strip(s, number);
  NextRow<T, N, P + K - 1> next(x + ((strip.first + strip.top * s.W - r) * x_stride + c),
                                int64_t(s.W) * x_stride, x_stride, strip.inside);
  RowsOfY<T, N, P, Out> rows_of_y(out, y, (strip.first + strip.begin * s.W) * y_stride + c,
                                  int64_t(s.W) * y_stride, y_stride, strip.inside >> r);
#pragma unroll 1
  for (int row = strip.top; row < strip.bottom; ++row) {
    const bool completes = row - r >= strip.begin;
    if (completes) rows_of_y.load_more();
    next.take(row + 1 < strip.bottom, in, [&](int i, const Values& v) {
#pragma unroll
      for (int p = max(0, i - K + 1); p <= min(i, P - 1); ++p)
#pragma unroll
        for (int j = 0; j < K; ++j) {  // row - r + j of y, which meets row 2 r - j of the filter
          if (i == p) sum[j][p] = j + 1 < K ? sum[j + 1][p] : start;
          add_product(sum[j][p], tap[(K - 1 - j) * K + i - p], v);
        }
    });
    if (completes) rows_of_y.store(sum[0]);
  }
  // The rows of y whose last rows of x lie below the map.
#pragma unroll
  for (int j = 1; j <= r; ++j)
    if (const int row = strip.bottom - 1 - r + j; row >= strip.begin && row < strip.end) {
      rows_of_y.load_more();
      rows_of_y.store(sum[j]);
    }
}

// The same by definition, for every k and C: a thread to each element of y.
template <class T, class In, class Out>
__global__ void __launch_bounds__(kThreads)
    convolve_any_kernel(const T* x, int64_t x_stride, const Wide<T>* w, const Wide<T>* bias, T* y,
                        int64_t y_stride, Map m, bool reversed, Wide<T> centre, In in, Out out) {
  using W = Wide<T>;
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= m.B * m.H * m.W * m.C) return;
  const int64_t pixel = at / m.C;
  const int c = int(at % m.C), column = int(pixel % m.W), line = int(pixel / m.W % m.H);
  const int k = int(m.k), r = int(m.r), taps = k * k;
  W sum = bias ? bias[c] : W(0);
  for (int ty = max(0, r - line); ty < min(k, int(m.H) + r - line); ++ty)
    for (int tx = max(0, r - column); tx < min(k, int(m.W) + r - column); ++tx) {
      const int t = ty * k + tx;
      const W tap =
          w[int64_t(c) * taps + (reversed ? taps - 1 - t : t)] + (t == taps / 2 ? centre : W(0));
      sum += tap * in(W(x[(pixel + (ty - r) * m.W + tx - r) * x_stride + c]));
    }
  const int64_t to = pixel * y_stride + c;
  if constexpr (kTakesMore<Out>)
    y[to] = T(out(sum, W(out.more[to])));
  else
    y[to] = T(out(sum));
}

// Launches one of them. w (C, k k), bias (C) or null.
template <class T, class In, class Out>
void convolve(const T* x, int64_t x_stride, const Wide<T>* w, const Wide<T>* bias, T* y,
              int64_t y_stride, const Map& m, bool reversed, Wide<T> centre, In in, Out out) {
  const int64_t n = m.B * m.H * m.W * m.C;
  if (n == 0) return;
  auto strips = [&](auto k) {
    constexpr int K = k, N = kChannels<T>, P = kColumns;
    const Strips s(m, P);
    const Blocks b(m.C / N);
    cuda::launch("depthwise_convolve", convolve_kernel<T, N, K, P, In, Out>,
                 dim3(unsigned(cuda::blocks_for(s.count, b.ty)), b.tiles), dim3(b.tx, b.ty), 0, x,
                 x_stride, w, bias, y, y_stride, s, reversed, centre, in, out);
  };
  auto fits = [&](int k) { return suits<T>(m, k, {{x, x_stride}, {y, y_stride}}); };
  if (fits(3)) return strips(Size<3>());
  if (fits(5)) return strips(Size<5>());
  cuda::launch("depthwise_convolve", convolve_any_kernel<T, In, Out>,
               dim3(unsigned(cuda::blocks_for(n, kThreads))), dim3(kThreads), 0, x, x_stride, w,
               bias, y, y_stride, m, reversed, centre, in, out);
}

}  // namespace rmt::gpu::depthwise
