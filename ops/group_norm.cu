// group_norm.cpp's formulas. Sums over a group: a block of threads to each sample and group, which
// walks over its rows of D neighbouring channels; what belongs to a channel is then added up over
// the samples. y and dx: a thread keeps to N columns and walks down the rows.
#include "core/cuda/columns.cuh"
#include "core/cuda/math.cuh"
#include "core/cuda/warp.cuh"

namespace rmt::gpu {
namespace {

using cuda::kColumnThreads;

// The numbers of a group, L rows of D channels, at x, and where in them a thread works: thread
// (tx, ty) of the block takes N channels of every height-th row.
template <int N>
struct GroupThreads {
  int64_t b, g, D, C;
  int width, height, tx, ty;
  __device__ GroupThreads(int64_t G, int64_t d)
      : b(blockIdx.x / G),
        g(blockIdx.x % G),
        D(d),
        C(G * d),
        width(int(min(d / N, int64_t(kColumnThreads)))),
        height(kColumnThreads / width),
        tx(int(threadIdx.x) % width),
        ty(int(threadIdx.x) / width) {}
  // f(offset in x) for each N numbers of the L rows at channel c of the group.
  template <class F>
  __device__ void for_rows(int64_t L, int64_t c, F f) const {
    if (ty >= height || c >= D) return;
#pragma unroll 4
    for (int64_t l = ty; l < L; l += height) f((b * L + l) * C + g * D + c);
  }
};

// mean and rstd (B, G), in two passes, of which the second finds the group in the cache. A pack is
// added up in Wide<T>, all else in double.
template <class T, int N>
__global__ void __launch_bounds__(kColumnThreads)
    group_norm_statistics_kernel(const T* x, Wide<T>* means, Wide<T>* rstds, int64_t L, int64_t G,
                                 int64_t D, double eps) {
  using W = Wide<T>;
  const GroupThreads<N> threads(G, D);
  // The mean of f over the group.
  auto mean_of = [&](auto f) {
    double sum = 0;
    for (int64_t c = threads.tx * N; c < D; c += threads.width * N)
      threads.for_rows(L, c, [&](int64_t at) {
        W few = 0;
        few += f(cuda::load<N>(x + at));
        sum += double(few);
      });
    return cuda::block_sum(sum) / double(L * D);
  };
  const W mean = W(mean_of([](const cuda::Values<W, N>& v) { return v; }));
  const double var = mean_of([&](const cuda::Values<W, N>& v) { return square(v - mean); });
  if (threadIdx.x > 0) return;
  means[blockIdx.x] = mean;
  rstds[blockIdx.x] = W(1 / ::sqrt(var + eps));
}

// Of a sample and a group: its statistics, and the means of g and g z times rstd.
template <class W>
struct GroupSums {
  W mean, rstd, mean_g, mean_gz;
};

// partial (B, 2, C): dy z and dy, summed over the positions; from them `group` (B, G).
template <class T, int N>
__global__ void __launch_bounds__(kColumnThreads)
    group_norm_sums_kernel(const T* x, const Wide<T>* w, const Wide<T>* means, const Wide<T>* rstds,
                           const T* dy, Wide<T>* partial, GroupSums<Wide<T>>* group, int64_t L,
                           int64_t G, int64_t D) {
  using W = Wide<T>;
  using V = cuda::Values<W, N>;
  SHARED(W, shared, 2 * N * kColumnThreads);  // [dy z, dy][n][thread]
  const GroupThreads<N> threads(G, D);
  const W mean = means[blockIdx.x], rstd = rstds[blockIdx.x];
  const int64_t columns = int64_t(threads.width) * N;  // at once
  double sum_g = 0, sum_gz = 0;
  for (int64_t first = 0; first < D; first += columns) {
    V dw = 0, dbias = 0;
    threads.for_rows(L, first + threads.tx * N, [&](int64_t at) {
      const V dy_c = cuda::load<N>(dy + at);
      dw += dy_c * ((cuda::load<N>(x + at) - mean) * rstd);
      dbias += dy_c;
    });
    cuda::spread(shared + threadIdx.x, dw);
    cuda::spread(shared + N * kColumnThreads + threadIdx.x, dbias);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < columns && first + i < D; i += kColumnThreads) {
      const int64_t c = threads.g * D + first + i, at = 2 * threads.b * threads.C + c;
      double dw_c = 0, dbias_c = 0;
      for (int y = 0; y < threads.height; ++y) {
        const int64_t from = (i % N) * kColumnThreads + y * threads.width + i / N;
        dw_c += double(shared[from]);
        dbias_c += double(shared[N * kColumnThreads + from]);
      }
      partial[at] = W(dw_c);
      partial[at + threads.C] = W(dbias_c);
      const double w_c = w ? double(w[c]) : 1;
      sum_gz += w_c * dw_c;
      sum_g += w_c * dbias_c;
    }
    __syncthreads();  // shared may be written again
  }
  const double scale = double(rstd) / double(L * D);
  sum_g = cuda::block_sum(sum_g) * scale;
  sum_gz = cuda::block_sum(sum_gz) * scale;
  if (threadIdx.x == 0) group[blockIdx.x] = {mean, rstd, W(sum_g), W(sum_gz)};
}

// What forward and backward have in common: w and the number of the group for N columns, which lie
// in one; and for a row its sample's first group.
template <class W>
struct OfGroups {
  const W *w, *bias;
  uint32_t L;
  int64_t G, D;

  template <int N>
  struct Columns {
    cuda::Values<W, N> w, bias;
    int64_t group;
  };
  template <int N>
  __device__ Columns<N> columns(int64_t c) const {
    return {w ? cuda::load<N>(w + c) : cuda::Values<W, N>(W(1)),
            bias ? cuda::load<N>(bias + c) : cuda::Values<W, N>(W(0)), c / D};
  }
  __device__ int64_t row(unsigned r) const { return int64_t(r / L) * G; }
};

template <class W>
struct Forward : OfGroups<W> {
  const W *mean, *rstd;
  template <class Columns, int N>
  __device__ cuda::Values<W, N> operator()(const Columns& of, int64_t first,
                                           const cuda::Values<W, N>& x) const {
    const int64_t i = first + of.group;
    return (x - mean[i]) * (of.w * rstd[i]) + of.bias;
  }
};

template <class W>
struct BackwardX : OfGroups<W> {
  const GroupSums<W>* group;
  template <class Columns, int N>
  __device__ cuda::Values<W, N> operator()(const Columns& of, int64_t first,
                                           const cuda::Values<W, N>& x,
                                           const cuda::Values<W, N>& dy) const {
    const GroupSums<W> s = group[first + of.group];
    return dy * (of.w * s.rstd) - s.mean_g - (x - s.mean) * (s.rstd * s.mean_gz);
  }
};

// N columns at once lie in one group and are aligned.
template <class T, class... P>
bool in_vectors(int64_t D, const P*... p) {
  return D % (16 / int(sizeof(T))) == 0 && cuda::aligned(p...);
}

}  // namespace

template <class T>
void group_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Wide<T>* mean,
                        Wide<T>* rstd, int64_t B, int64_t L, int64_t G, int64_t D, double eps) {
  if (B == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  cuda::launch(
      "group_norm_statistics",
      in_vectors<T>(D, x) ? group_norm_statistics_kernel<T, N> : group_norm_statistics_kernel<T, 1>,
      dim3(unsigned(B * G)), dim3(kColumnThreads), 0, x, mean, rstd, L, G, D, eps);
  cuda::map_columns("group_norm_forward",
                    Forward<Wide<T>>{{w, bias, uint32_t(L), G, D}, mean, rstd},
                    in_vectors<T>(D, w, bias), y, B * L, G * D, x);
}

template <class T>
void group_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, T* dx, Wide<T>* dw, Wide<T>* dbias, int64_t B, int64_t L,
                         int64_t G, int64_t D) {
  using W = Wide<T>;
  if (B == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const int64_t C = G * D;
  const cuda::Partial<W> partial(B, 2 * C);
  const Storage storage_group(size_t(B * G) * sizeof(GroupSums<W>), Device::cuda);
  auto* const group = static_cast<GroupSums<W>*>(storage_group.data());
  cuda::launch(
      "group_norm_sums",
      in_vectors<T>(D, x, dy) ? group_norm_sums_kernel<T, N> : group_norm_sums_kernel<T, 1>,
      dim3(unsigned(B * G)), dim3(kColumnThreads), 0, x, w, mean, rstd, dy, partial.at(), group, L,
      G, D);
  if (dw || dbias) cuda::add_parts<W>(partial, {}, cuda::Outputs<W>{{dw, dbias}, C});
  if (dx)
    cuda::map_columns("group_norm_dx", BackwardX<W>{{w, nullptr, uint32_t(L), G, D}, group},
                      in_vectors<T>(D, w), dx, B * L, C, x, dy);
}

INSTANTIATE(group_norm_forward)
INSTANTIATE(group_norm_backward)

}  // namespace rmt::gpu
