// batch_norm.cpp's formulas. A thread keeps to N columns and walks down the rows
// (core/cuda/columns.cuh).
#include "core/cuda/columns.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

using cuda::kColumnThreads;

// Mean and sum of squares around it, of n numbers; joined with those of others (Chan, Golub,
// LeVeque 1979).
template <class V>
struct Moments {
  V mean = 0, squares = 0;
  // n numbers here, k > 0 there.
  template <class W>
  __device__ void join(W n, W k, const V& more_mean, const V& more_squares) {
    const W share = k / (n + k);
    const V d = more_mean - mean;
    mean += d * share;
    squares += more_squares + d * d * n * share;
  }
};

// How many of the rows y, y + step, ... are less than `rows`.
__device__ inline int64_t rows_of_thread(int64_t rows, int64_t y, int64_t step) {
  return rows > y ? (rows - y + step - 1) / step : 0;
}

// Moments of a share of the rows -> partial (parts, 2, C). A thread takes 8 rows at a time, of
// which it has the mean before it squares: nothing cancels.
template <class T, int N>
__global__ void __launch_bounds__(kColumnThreads, 2)
    moments_kernel(const T* x, double* partial, int64_t rows, int64_t C) {
  using W = Wide<T>;
  using V = cuda::Values<W, N>;
  constexpr int R = 8;
  SHARED(W, shared, 2 * N * kColumnThreads);  // [mean, squares][n][ty][tx]
  const int64_t parts = gridDim.y, part = blockIdx.y,
                column = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts, step = blockDim.y;
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  Moments<V> moments;
  int64_t seen = 0;
  if (column < C)
    for (int64_t r = begin + threadIdx.y; r < end; r += R * step) {
      const int count = int(min(int64_t(R), rows_of_thread(end, r, step)));
      cuda::Pack<T, N> pack[R];
#pragma unroll
      for (int i = 0; i < R; ++i)
        pack[i] = *reinterpret_cast<const cuda::Pack<T, N>*>(
            x + (r + (i < count ? i : 0) * step) * C + column);
      V sum = 0, squares = 0;
#pragma unroll
      for (int i = 0; i < R; ++i)
        if (i < count) sum += cuda::widen(pack[i]);
      const V mean = sum / W(count);
#pragma unroll
      for (int i = 0; i < R; ++i)
        if (i < count) squares += square(cuda::widen(pack[i]) - mean);
      moments.join(W(seen), W(count), mean, squares);
      seen += count;
    }
  cuda::spread(shared + thread, moments.mean);
  cuda::spread(shared + N * kColumnThreads + thread, moments.squares);
  __syncthreads();
  const unsigned width = blockDim.x * N;  // columns of the block
  for (unsigned i = thread; i < width; i += blockDim.x * blockDim.y) {
    const int64_t c = int64_t(blockIdx.x) * width + i;
    Moments<double> all;
    int64_t n = 0;
    for (int64_t y = 0; y < step && y < end - begin; ++y) {
      const int64_t k = rows_of_thread(end - begin, y, step),
                    at = (i % N) * kColumnThreads + y * blockDim.x + i / N;
      all.join(double(n), double(k), double(shared[at]), double(shared[N * kColumnThreads + at]));
      n += k;
    }
    if (c < C) {
      partial[2 * part * C + c] = all.mean;
      partial[(2 * part + 1) * C + c] = all.squares;
    }
  }
}

// moments (2 C + 1) of all rows from those of the parts. Threads (x, y): column, every
// blockDim.y-th part.
__global__ void __launch_bounds__(512) join_parts_kernel(const double* partial, double* moments,
                                                         int64_t rows, int64_t parts, int64_t C) {
  SHARED(double, means, 512);
  SHARED(double, squares, 512);
  SHARED(double, counts, 512);
  const int64_t c = int64_t(blockIdx.x) * 32 + threadIdx.x;
  const unsigned thread = threadIdx.y * 32 + threadIdx.x;
  Moments<double> all;
  int64_t n = 0;
  if (c < C) {
#pragma unroll 4
    for (int64_t p = threadIdx.y; p < parts; p += blockDim.y) {
      const int64_t k = rows * (p + 1) / parts - rows * p / parts;
      all.join(double(n), double(k), partial[2 * p * C + c], partial[(2 * p + 1) * C + c]);
      n += k;
    }
  }
  means[thread] = all.mean;
  squares[thread] = all.squares;
  counts[thread] = double(n);
  __syncthreads();
  if (threadIdx.y > 0 || c >= C) return;
  for (unsigned y = 1; y < blockDim.y; ++y) {
    const unsigned at = y * 32 + threadIdx.x;
    all.join(double(n), counts[at], means[at], squares[at]);
    n += int64_t(counts[at]);
  }
  moments[c] = all.mean;
  moments[C + c] = all.squares;
  if (c == 0) moments[2 * C] = double(rows);
}

// Thread: column.
template <class W>
__global__ void statistics_kernel(const double* moments, W* mean, W* rstd, double* rows,
                                  W* running_mean, W* running_var, int64_t R, int64_t C, double eps,
                                  double momentum) {
  const int64_t c = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= C) return;
  Moments<double> all{moments[c], moments[C + c]};
  double n = moments[2 * C];
  for (int64_t r = 1; r < R; ++r) {
    const double *more = moments + r * (2 * C + 1), k = more[2 * C];
    all.join(n, k, more[c], more[C + c]);
    n += k;
  }
  const W var = W(all.squares / n);
  mean[c] = W(all.mean);
  rstd[c] = W(1 / ::sqrt(double(var) + eps));
  if (c == 0) *rows = n;
  if (!running_mean) return;
  running_mean[c] = W((1 - momentum) * double(running_mean[c]) + momentum * double(mean[c]));
  running_var[c] =
      W((1 - momentum) * double(running_var[c]) + momentum * double(var) * n / (n - 1));
}

template <class W>
__global__ void rstd_kernel(const W* var, W* rstd, int64_t C, double eps) {
  const int64_t c = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c < C) rstd[c] = W(1 / ::sqrt(double(var[c]) + eps));
}

template <class T>
struct Forward {
  using W = Wide<T>;
  const W *w, *bias, *mean, *rstd;

  template <int N>
  struct Columns {
    cuda::Values<W, N> mean, scale, bias;
  };
  template <int N>
  __device__ Columns<N> columns(int64_t c) const {
    return {cuda::load<N>(mean + c), cuda::load<N>(w + c) * cuda::load<N>(rstd + c),
            cuda::load<N>(bias + c)};
  }
  __device__ int row(unsigned) const { return 0; }
  template <int N>
  __device__ cuda::Values<W, N> operator()(const Columns<N>& of, int,
                                           const cuda::Values<W, N>& x) const {
    return (x - of.mean) * of.scale + of.bias;
  }
};

// Of dy (x - mean), and of dy.
template <class T, int N>
struct ParameterSums {
  using W = Wide<T>;
  const T *x, *dy;
  const W* mean;
  int64_t C;
  __device__ void operator()(int64_t r, int64_t c, cuda::Values<W, N> (&sums)[2]) const {
    const cuda::Values<W, N> dy_c = cuda::load<N>(dy + r * C + c);
    sums[0] += dy_c * (cuda::load<N>(x + r * C + c) - cuda::load<N>(mean + c));
    sums[1] += dy_c;
  }
};

// dw = rstd sum dy (x - mean), dbias, and the factors (3, C) of
// dx = scale (dy - mean_dy - (x - mean) slope). Thread: column.
template <class W>
__global__ void factors_kernel(const W* w, const W* rstd, const double* sums,
                               const double* all_sums, const double* rows, W* dw, W* dbias,
                               W* factors, int64_t R, int64_t C) {
  const int64_t c = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= C) return;
  dw[c] = W(sums[c]) * rstd[c];
  dbias[c] = W(sums[C + c]);
  factors[c] = w[c] * rstd[c];
  factors[C + c] = factors[2 * C + c] = 0;
  if (!rows) return;
  double sum_z = all_sums[c], sum = all_sums[C + c];
  for (int64_t r = 1; r < R; ++r) {
    sum_z += all_sums[2 * r * C + c];
    sum += all_sums[(2 * r + 1) * C + c];
  }
  factors[C + c] = W(sum) / W(*rows);
  factors[2 * C + c] = rstd[c] * (W(sum_z) * rstd[c]) / W(*rows);
}

template <class T>
struct BackwardX {
  using W = Wide<T>;
  const W *mean, *scale, *mean_dy, *slope;

  template <int N>
  struct Columns {
    cuda::Values<W, N> mean, scale, mean_dy, slope;
  };
  template <int N>
  __device__ Columns<N> columns(int64_t c) const {
    return {cuda::load<N>(mean + c), cuda::load<N>(scale + c), cuda::load<N>(mean_dy + c),
            cuda::load<N>(slope + c)};
  }
  __device__ int row(unsigned) const { return 0; }
  template <int N>
  __device__ cuda::Values<W, N> operator()(const Columns<N>& of, int, const cuda::Values<W, N>& x,
                                           const cuda::Values<W, N>& dy) const {
    return of.scale * (dy - of.mean_dy - (x - of.mean) * of.slope);
  }
};

}  // namespace

template <class T>
void batch_norm_moments(const T* x, double* moments, int64_t M, int64_t C) {
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = cuda::aligned(x) && C % N == 0;
  const cuda::ColumnBlocks blocks(vectors ? C / N : C);
  const int64_t parts = blocks.parts(M, 8, 1024);
  Storage partial(size_t(parts * 2 * C) * sizeof(double), Device::cuda);
  double* p = static_cast<double*>(partial.data());
  cuda::launch("batch_norm_moments", vectors ? moments_kernel<T, N> : moments_kernel<T, 1>,
               dim3(unsigned(blocks.tiles), unsigned(parts)), dim3(blocks.tx, blocks.ty), 0, x, p,
               M, C);
  cuda::launch("batch_norm_join", join_parts_kernel, dim3(unsigned(cuda::blocks_for(C, 32))),
               dim3(32, unsigned(std::min<int64_t>(parts, 16))), 0, p, moments, M, parts, C);
}

template <class T>
void batch_norm_statistics(const double* moments, Wide<T>* mean, Wide<T>* rstd, double* rows,
                           Wide<T>* running_mean, Wide<T>* running_var, int64_t R, int64_t C,
                           double eps, double momentum) {
  cuda::launch("batch_norm_statistics", statistics_kernel<Wide<T>>,
               dim3(unsigned(cuda::blocks_for(C))), dim3(cuda::kThreads), 0, moments, mean, rstd,
               rows, running_mean, running_var, R, C, eps, momentum);
}

template <class T>
void batch_norm_given(const Wide<T>* var, Wide<T>* rstd, int64_t C, double eps) {
  cuda::launch("batch_norm_rstd", rstd_kernel<Wide<T>>, dim3(unsigned(cuda::blocks_for(C))),
               dim3(cuda::kThreads), 0, var, rstd, C, eps);
}

template <class T>
void batch_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, const Wide<T>* mean,
                        const Wide<T>* rstd, T* y, int64_t M, int64_t C) {
  cuda::map_columns("batch_norm_forward", Forward<T>{w, bias, mean, rstd},
                    cuda::aligned(w, bias, mean, rstd), y, M, C, x);
}

template <class T>
void batch_norm_sums(const T* x, const Wide<T>* mean, const T* dy, double* sums, int64_t M,
                     int64_t C) {
  constexpr int N = 16 / int(sizeof(T));
  const cuda::Outputs<double> out{{sums, sums + C}};
  auto add = [&]<int n>(ParameterSums<T, n> f) {
    cuda::column_sums<2, n, double, ParameterSums<T, n>, Wide<T>>("batch_norm_sums", f, out, M, C);
  };
  if (C % N == 0 && cuda::aligned(x, dy, mean))
    add(ParameterSums<T, N>{x, dy, mean, C});
  else
    add(ParameterSums<T, 1>{x, dy, mean, C});
}

template <class T>
void batch_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, const double* sums, const double* all_sums,
                         const double* rows, T* dx, Wide<T>* dw, Wide<T>* dbias, int64_t R,
                         int64_t M, int64_t C) {
  using W = Wide<T>;
  const Storage storage(3 * C * sizeof(W), Device::cuda);
  W* const factors = static_cast<W*>(storage.data());
  cuda::launch("batch_norm_factors", factors_kernel<W>, dim3(unsigned(cuda::blocks_for(C))),
               dim3(cuda::kThreads), 0, w, rstd, sums, all_sums, rows, dw, dbias, factors, R, C);
  if (dx)
    cuda::map_columns("batch_norm_dx", BackwardX<T>{mean, factors, factors + C, factors + 2 * C},
                      cuda::aligned(mean, factors), dx, M, C, x, dy);
}

INSTANTIATE(batch_norm_moments)
INSTANTIATE(batch_norm_statistics)
INSTANTIATE(batch_norm_given)
INSTANTIATE(batch_norm_forward)
INSTANTIATE(batch_norm_sums)
INSTANTIATE(batch_norm_backward)

}  // namespace rmt::gpu
