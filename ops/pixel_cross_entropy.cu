// pixel_cross_entropy.cpp's formulas. A row lies in the registers of 4 to 32 lanes of a warp
// (core/cuda/rows.cuh); the rows' losses are added in double. A label out of range makes the loss
// nan, since nobody waits for the GPU to look at labels.
#include <cmath>

#include "core/cuda/math.cuh"
#include "core/cuda/rows.cuh"
#include "ops/kernels/labels.h"
#include "ops/kernels/mean_loss.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads, cuda::Values;

// The greatest z of the row, and the sum of exp(z - greatest), for every lane.
template <class W>
struct RowSums {
  W most, exps;
};
template <class W, class T, int N, int P>
__device__ RowSums<W> row_sums(const cuda::Row<T, N, P>& row, const cuda::Lanes& lanes) {
  W most = W(-INFINITY), exps = 0;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) { most = max(most, row.at(p, c)); });
  most = lanes.max(most);
  cuda::for_packs<N, P>(lanes, [&](int p, int c) { exps += cuda::exact_exp(row.at(p, c) - most); });
  return {most, lanes.sum(exps)};
}

template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads, 2)
    pixel_cross_entropy_forward_kernel(const T* z, Labels labels, double* losses, int64_t rows,
                                       int K, int64_t ignored, int shift) {
  using W = Wide<T>;
  const auto lanes = cuda::Lanes::of_block(rows, K, shift);
  const T* z_row = z + lanes.row * K;
  const auto sums = row_sums<W>(cuda::Row<T, N, P>(z_row, lanes), lanes);
  if (!lanes.leads()) return;
  const int64_t label = labels[lanes.row];
  losses[lanes.row] = label == ignored ? 0
                      : label < 0 || label >= K
                          ? double(NAN)
                          : ::log(double(sums.exps)) - double(W(z_row[label]) - sums.most);
}

template <class T, int N, int P>
__global__ void __launch_bounds__(kThreads, 2)
    pixel_cross_entropy_backward_kernel(const T* z, Labels labels, const Wide<T>* dy, T* dz,
                                        int64_t rows, int K, int64_t ignored, double normaliser,
                                        int shift) {
  using W = Wide<T>;
  const auto lanes = cuda::Lanes::of_block(rows, K, shift);
  const cuda::Row<T, N, P> row(z + lanes.row * K, lanes);
  const auto sums = row_sums<W>(row, lanes);
  if (lanes.C == 0) return;
  const int64_t label = labels[lanes.row];
  const W valid = label >= 0 && label < K ? W(double(*dy) / normaliser) : W(NAN),
          scale = label == ignored ? W(0) : valid, share = scale / sums.exps;
  cuda::for_packs<N, P>(lanes, [&](int p, int c) {
    Values<W, N> v = cuda::exact_exp(row.at(p, c) - sums.most) * share;
#pragma unroll
    for (int n = 0; n < N; ++n)
      if (c + n == label) v.at[n] -= scale;
    cuda::store<N>(dz + lanes.row * K + c, v);
  });
}

struct LossOfRow {
  const double* losses;
  __device__ double operator()(int64_t r) const { return losses[r]; }
};

}  // namespace

template <class T>
void pixel_cross_entropy_forward(const T* z, const Labels& labels, Wide<T>* y, int64_t rows,
                                 int64_t K, int64_t ignored, double normaliser) {
  Storage storage(size_t(rows) * sizeof(double), Device::cuda);
  double* losses = static_cast<double*>(storage.data());
  if (rows > 0)
    cuda::with_row_layout<T>(K, cuda::aligned(z), 4, [&](auto N, auto P, int shift) {
      cuda::launch_rows("pixel_cross_entropy_forward", pixel_cross_entropy_forward_kernel<T, N, P>,
                        rows, shift, z, labels, losses, rows, K, ignored, shift);
    });
  cuda::sum_of_numbers("pixel_cross_entropy_sum", LossOfRow{losses}, y, rows, normaliser);
}

template <class T>
void pixel_cross_entropy_backward(const T* z, const Labels& labels, const Wide<T>* dy, T* dz,
                                  int64_t rows, int64_t K, int64_t ignored, double normaliser) {
  if (rows == 0) return;
  cuda::with_row_layout<T>(K, cuda::aligned(z, dz), 4, [&](auto N, auto P, int shift) {
    cuda::launch_rows("pixel_cross_entropy_backward", pixel_cross_entropy_backward_kernel<T, N, P>,
                      rows, shift, z, labels, dy, dz, rows, K, ignored, normaliser, shift);
  });
}

INSTANTIATE(pixel_cross_entropy_forward)
INSTANTIATE(pixel_cross_entropy_backward)

}  // namespace rmt::gpu
