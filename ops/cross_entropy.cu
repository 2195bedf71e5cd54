// cross_entropy.cpp's formulas, a block of threads to each row, which is short enough for L1; the
// rows' losses are added in double by one block.
#include <algorithm>
#include <cmath>

#include "core/cuda/math.cuh"
#include "core/cuda/rows.cuh"
#include "core/storage.h"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

// Of a row: max z, sum exp(z - max), sum t, sum t (z - max).
template <class W>
struct RowSums {
  W max, exps, targets, product;
};

// All threads of the block get them. Everything in terms of z - max, which loses nothing when z is
// large.
template <int N, class T, class W>
__device__ RowSums<W> row_sums(const T* z, const W* t, int K) {
  W most = W(-INFINITY), exps = 0, targets = 0, product = 0;
  cuda::for_packs<N, 0>(int(threadIdx.x), int(blockDim.x), K,
                        [&](int, int k) { most = max(most, cuda::load<N>(z + k)); });
  most = cuda::block_max(most);
  cuda::for_packs<N, 0>(int(threadIdx.x), int(blockDim.x), K, [&](int, int k) {
    const cuda::Values<W, N> t_k = cuda::load<N>(t + k), z_k = cuda::load<N>(z + k) - most;
    exps += cuda::exact_exp(z_k);
    targets += t_k;
    product += t_k * z_k;
  });
  return {most, cuda::block_sum(exps), cuda::block_sum(targets), cuda::block_sum(product)};
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    cross_entropy_forward_kernel(const T* z, const Wide<T>* t, double* losses, int K) {
  const int64_t b = blockIdx.x;
  const RowSums<Wide<T>> row = row_sums<N>(z + b * K, t + b * K, K);
  if (threadIdx.x == 0)
    losses[b] = ::log(double(row.exps)) * double(row.targets) - double(row.product);
}

template <class W>
__global__ void __launch_bounds__(kThreads) mean_kernel(const double* losses, W* y, int64_t B) {
  double total = 0;
  for (int64_t b = threadIdx.x; b < B; b += kThreads) total += losses[b];
  total = cuda::block_sum(total);
  if (threadIdx.x == 0) *y = W(total / double(B));
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    cross_entropy_backward_kernel(const T* z, const Wide<T>* t, const Wide<T>* dy, T* dz, int64_t B,
                                  int K) {
  using W = Wide<T>;
  const int64_t b = blockIdx.x;
  z += b * K;
  t += b * K;
  dz += b * K;
  const RowSums<W> row = row_sums<N>(z, t, K);
  const W scale = *dy / W(B), weight = row.targets / row.exps;
  cuda::for_packs<N, 0>(int(threadIdx.x), int(blockDim.x), K, [&](int, int k) {
    const cuda::Values<W, N> z_k = cuda::load<N>(z + k), t_k = cuda::load<N>(t + k);
    cuda::store<N>(dz + k, scale * (cuda::exact_exp(z_k - row.max) * weight - t_k));
  });
}

// A label that is no class makes its row nan: the loss will tell, and nobody waits for the GPU to
// look at labels.
template <class T>
__global__ void __launch_bounds__(kThreads)
    smooth_one_hot_kernel(const int64_t* labels, const double* mix, T* target, int64_t K,
                          double eps) {
  const int64_t b = blockIdx.x, own = labels[b], other = labels[gridDim.x - 1 - b];
  const double low = eps / double(K), lambda = mix ? mix[1] : 1;
  const bool valid = own >= 0 && own < K && (!mix || (other >= 0 && other < K));
  for (int64_t k = threadIdx.x; k < K; k += blockDim.x) {
    const double share = own == other || !mix ? double(k == own)
                         : k == own           ? lambda
                         : k == other         ? 1 - lambda
                                              : 0;
    target[b * K + k] = T(Wide<T>(valid ? share * (1 - eps) + low : double(NAN)));
  }
}

unsigned threads_for(int64_t packs) {
  return unsigned(std::clamp<int64_t>((packs + 31) / 32 * 32, 32, kThreads));
}

}  // namespace

template <class T>
void cross_entropy_forward(const T* z, const Wide<T>* t, Wide<T>* y, int64_t B, int64_t K) {
  constexpr int N = 16 / int(sizeof(T));
  Storage storage(size_t(B) * sizeof(double), Device::cuda);
  double* losses = static_cast<double*>(storage.data());
  const bool vectors = K % N == 0 && cuda::aligned(z, t);
  cuda::launch("cross_entropy_forward",
               vectors ? cross_entropy_forward_kernel<T, N> : cross_entropy_forward_kernel<T, 1>,
               dim3(unsigned(B)), dim3(threads_for(vectors ? K / N : K)), 0, z, t, losses, K);
  cuda::launch("cross_entropy_mean", mean_kernel<Wide<T>>, dim3(1), dim3(kThreads), 0, losses, y,
               B);
}

template <class T>
void cross_entropy_backward(const T* z, const Wide<T>* t, const Wide<T>* dy, T* dz, int64_t B,
                            int64_t K) {
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = K % N == 0 && cuda::aligned(z, t, dz);
  cuda::launch("cross_entropy_backward",
               vectors ? cross_entropy_backward_kernel<T, N> : cross_entropy_backward_kernel<T, 1>,
               dim3(unsigned(B)), dim3(threads_for(vectors ? K / N : K)), 0, z, t, dy, dz, B, K);
}

template <class T>
void smooth_one_hot(const int64_t* labels, const double* mix, T* target, int64_t B, int64_t K,
                    double eps) {
  if (B * K == 0) return;
  cuda::launch("smooth_one_hot", smooth_one_hot_kernel<T>, dim3(unsigned(B)), dim3(threads_for(K)),
               0, labels, mix, target, K, eps);
}

INSTANTIATE(cross_entropy_forward)
INSTANTIATE(cross_entropy_backward)
INSTANTIATE(smooth_one_hot)

}  // namespace rmt::gpu
