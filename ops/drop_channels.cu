// drop_channels.cpp's formula, a thread to four neighbouring channels, whose lots one call of
// Philox draws, or to one where channels do not come in fours; the step is read from device memory,
// so that a captured graph draws new numbers each time.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/dropout.h"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    drop_channels_kernel(const T* x, const int64_t* step, T* y, int64_t packs, int64_t size,
                         int64_t C, DropoutLots lots, Wide<T> scale) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= packs) return;
  const int64_t b = i * N / size, c = i * N % C, lot = lots.first + b * C + c;
  const std::array<uint32_t, 4> words = lots.words(*step, lot / 4);
  cuda::Values<Wide<T>, N> v = cuda::load<N>(x + i * N);
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const uint32_t word = words[N == 4 ? n : int(lot % 4)];
    v.at[n] = word < lots.dropped ? Wide<T>(0) : scale * v.at[n];
  }
  cuda::store<N>(y + i * N, v);
}

}  // namespace

template <class T>
void drop_channels(const T* x, const int64_t* step, T* y, int64_t B, int64_t L, int64_t C,
                   const DropoutLots& lots, double scale) {
  const bool fours = C % 4 == 0 && cuda::aligned(x, y);
  const int64_t packs = B * L * C / (fours ? 4 : 1);
  cuda::launch("drop_channels", fours ? drop_channels_kernel<T, 4> : drop_channels_kernel<T, 1>,
               dim3(unsigned(cuda::blocks_for(packs))), dim3(kThreads), 0, x, step, y, packs, L * C,
               C, lots, Wide<T>(scale));
}

INSTANTIATE(drop_channels)

}  // namespace rmt::gpu
