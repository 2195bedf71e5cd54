// mix_images.cpp's formula. A thread has 16 bytes of an image of the first half and the same 16 of
// its partner, so that each number is read once and written once. lambda and the box are in device
// memory: a training step that was recorded as a graph uses each batch's own when it is replayed.
#include <cmath>

#include "core/cuda/elementwise.cuh"

namespace rmt::gpu {
namespace {

// y_b and y_b' from the N numbers each at offset `at` of images of `size` numbers, rows of n = W C.
template <class T, int N>
__global__ void __launch_bounds__(cuda::kThreads)
    mix_images_kernel(const T* x, const double* mix, T* y, int64_t B, int64_t size, int n, int C,
                      int unit) {
  using V = Wide<T>;
  const int64_t b = blockIdx.y, at = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N,
                first = b * size + at, second = (B - 1 - b) * size + at;
  if (at >= size) return;
  const V lambda = V(mix[0]), rest = V(1 - mix[0]);
  const int left = int(mix[2]) * unit * C, top = int(mix[3]) * unit,
            right = left + int(mix[4]) * unit * C, bottom = top + int(mix[5]) * unit;
  const cuda::Values<V, N> p = cuda::load<N>(x + first), q = cuda::load<N>(x + second);
  cuda::Values<V, N> to_p, to_q;
  int row = int(unsigned(at) / unsigned(n)), column = int(at) - row * n;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const bool inside = row >= top && row < bottom && column >= left && column < right,
               same = lambda == 1;
    const V u = p.at[j], v = q.at[j];
    to_p.at[j] = inside ? v : same ? u : std::fma(lambda, u, rest * v);
    to_q.at[j] = inside ? u : same ? v : std::fma(lambda, v, rest * u);
    if (++column == n) {
      column = 0;
      ++row;
    }
  }
  cuda::store<N>(y + first, to_p);
  cuda::store<N>(y + second, to_q);
}

}  // namespace

template <class T>
void mix_images(const T* x, const double* mix, T* y, int64_t B, int64_t H, int64_t W, int64_t C,
                int64_t unit) {
  const int64_t size = H * W * C;
  if (B * size == 0) return;
  CHECK(size < int64_t(1) << 31 && B / 2 <= 65535, "mix_images: ", B, " images of ", size,
        " numbers, expected at most 131070 of fewer than 2^31");
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = size % N == 0 && cuda::aligned(x, y);
  const dim3 grid(unsigned(cuda::blocks_for(vectors ? size / N : size)), unsigned(B / 2));
  cuda::launch("mix_images", vectors ? mix_images_kernel<T, N> : mix_images_kernel<T, 1>, grid,
               dim3(cuda::kThreads), 0, x, mix, y, B, size, W * C, C, unit);
}

INSTANTIATE(mix_images)

}  // namespace rmt::gpu
