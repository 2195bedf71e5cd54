// embedding.cpp's formulas. Forward: threads (x, y) of a block have N columns of every
// blockDim.y-th row of y. Backward: a warp has up to 32 N columns of one row of dtable. It looks at
// 32 indices at a time and adds up, in double and in order, the rows of dy that are its own. So V n
// indices are read, from the caches: that is cheap for a table of positions, not for a large
// vocabulary.
#include <cmath>

#include "core/cuda/columns.cuh"
#include "core/cuda/warp.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads, cuda::Values;

template <class T, int N>
__global__ void __launch_bounds__(cuda::kColumnThreads)
    embedding_forward_kernel(const Wide<T>* table, const int64_t* indices, T* y, int64_t n,
                             int64_t V, int64_t C) {
  const int64_t c = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (c >= C) return;
  const int64_t step = int64_t(gridDim.y) * blockDim.y;
  for (int64_t i = int64_t(blockIdx.y) * blockDim.y + threadIdx.y; i < n; i += step) {
    const int64_t v = indices[i];
    Values<Wide<T>, N> row = Wide<T>(NAN);
    if (v >= 0 && v < V) row = cuda::load<N>(table + v * C + c);
    cuda::store<N>(y + i * C + c, row);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(const T* dy, const int64_t* indices, Wide<T>* dtable, int64_t n,
                              int64_t V, int64_t C) {
  const int lane = int(threadIdx.x) % 32;
  const int64_t warp = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / 32,
                warps = (C + 32 * N - 1) / (32 * N), v = warp / warps,
                c = (warp % warps * 32 + lane) * N;
  if (v >= V) return;  // the whole warp
  Values<double, N> sums = 0;
  for (int64_t first = 0; first < n; first += 32) {
    const bool own = first + lane < n && indices[first + lane] == v;
    for (unsigned left = __ballot_sync(cuda::kFullWarp, own); left; left &= left - 1) {
      const int64_t i = first + __ffs(int(left)) - 1;
      if (c < C) sums += Values<double, N>(cuda::load<N>(dy + i * C + c));
    }
  }
  if (c < C) cuda::store<N>(dtable + v * C + c, Values<Wide<T>, N>(sums));
}

}  // namespace

template <class T>
void embedding_forward(const Wide<T>* table, const int64_t* indices, T* y, int64_t n, int64_t V,
                       int64_t C) {
  if (n == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = C % N == 0 && cuda::aligned(table, y);
  const cuda::ColumnBlocks blocks(vectors ? C / N : C);
  cuda::launch("embedding_forward",
               vectors ? embedding_forward_kernel<T, N> : embedding_forward_kernel<T, 1>,
               dim3(unsigned(blocks.tiles), unsigned(blocks.parts(n, 1, 65535))),
               dim3(blocks.tx, blocks.ty), 0, table, indices, y, n, V, C);
}

template <class T>
void embedding_backward(const T* dy, const int64_t* indices, Wide<T>* dtable, int64_t n, int64_t V,
                        int64_t C) {
  if (V == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = C % N == 0 && cuda::aligned(dy, dtable);
  const int64_t warps = V * cuda::blocks_for(C, 32 * (vectors ? N : 1));
  cuda::launch("embedding_backward",
               vectors ? embedding_backward_kernel<T, N> : embedding_backward_kernel<T, 1>,
               dim3(unsigned(cuda::blocks_for(warps, kThreads / 32))), dim3(kThreads), 0, dy,
               indices, dtable, n, V, C);
}

INSTANTIATE(embedding_forward)
INSTANTIATE(embedding_backward)

}  // namespace rmt::gpu
