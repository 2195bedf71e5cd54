// dropout.cpp's formula, a thread to the four neighbours whose lots one call of Philox draws; the
// step is read from device memory, so that a captured graph draws new numbers each time.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/dropout.h"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

// vectors: x and y are aligned to 16 bytes, and so is element lots.first.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const T* x, const int64_t* step, T* y, int64_t n, DropoutLots lots,
                   Wide<T> scale, bool vectors) {
  using W = Wide<T>;
  const int64_t q = lots.first / 4 + int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t i = 4 * q - lots.first;  // of x, its first of the four: below 0 in a cut group
  if (i >= n) return;
  const std::array<uint32_t, 4> words = lots.words(*step, q);
  if (vectors && i + 4 <= n) {
    cuda::Values<W, 4> v = cuda::load<4>(x + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) v.at[k] = words[k] < lots.dropped ? W(0) : scale * v.at[k];
    cuda::store<4>(y + i, v);
  } else {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (i + k >= 0 && i + k < n)
        y[i + k] = T(words[k] < lots.dropped ? W(0) : scale * W(x[i + k]));
  }
}

}  // namespace

template <class T>
void dropout(const T* x, const int64_t* step, T* y, int64_t n, const DropoutLots& lots,
             double scale) {
  if (n == 0) return;
  const bool vectors = cuda::aligned(x, y) && lots.first % 4 == 0;
  const int64_t groups = (lots.first + n + 3) / 4 - lots.first / 4;
  cuda::launch("dropout", dropout_kernel<T>, dim3(unsigned(cuda::blocks_for(groups))),
               dim3(kThreads), 0, x, step, y, n, lots, Wide<T>(scale), vectors);
}

INSTANTIATE(dropout)

}  // namespace rmt::gpu
