// normalize.cpp's formula, a thread to each pixel.
#include "core/cuda/elementwise.cuh"
#include "core/random.h"
#include "ops/normalize.h"

namespace rmt::gpu {
namespace {

template <class T>
__global__ void __launch_bounds__(cuda::kThreads)
    normalize_kernel(const uint8_t* x, const uint8_t* mirror, const int64_t* erase, T* y,
                     int64_t pixels, int H, int W, ops::NormalizeOptions o) {
  const int64_t p = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (p >= pixels) return;
  const int64_t row = p / W, b = row / H;
  const int w = int(p - row * W), h = int(row - b * H);
  if (erase) {
    const int64_t* e = erase + b * 5;
    if (w >= e[0] && w - e[0] < e[2] && h >= e[1] && h - e[1] < e[3]) {
      const std::array<float, 4> noise =
          normals(uint64_t(e[4]), Purpose::erase, int64_t(h) * W + w);
#pragma unroll
      for (int c = 0; c < 3; ++c) y[p * 3 + c] = T(noise[c]);
      return;
    }
  }
  const bool turn = mirror && mirror[b];
  const uint8_t* from = x + (row * W + (turn ? W - 1 - w : w)) * 3;
#pragma unroll
  for (int c = 0; c < 3; ++c)
    y[p * 3 + c] = T((float(from[c]) / 255.f - o.mean[c]) / o.deviation[c]);
}

}  // namespace

template <class T>
void normalize(const uint8_t* x, const uint8_t* mirror, const int64_t* erase, T* y, int64_t B,
               int64_t H, int64_t W, const ops::NormalizeOptions& o) {
  const int64_t pixels = B * H * W;
  if (pixels)
    cuda::launch("normalize", normalize_kernel<T>, dim3(unsigned(cuda::blocks_for(pixels))),
                 dim3(cuda::kThreads), 0, x, mirror, erase, y, pixels, H, W, o);
}

INSTANTIATE(normalize)

}  // namespace rmt::gpu
