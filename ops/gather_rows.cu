// gather_rows.cpp's formulas. Forward: threads (x, y) of a block have N columns of every
// blockDim.y-th row of y. Backward: first each row of dx learns which i reads it first and how many
// do, by atomics on integers, whose result does not depend on their order. Then a warp for each i
// and 32 N columns, if its i is the first one of its row, adds the rows of dy in order, in Wide<T>:
// it looks for the others among the later i, 32 at a time, until it has them all. A row that is
// read once costs no search.
#include <cmath>

#include "core/cuda/columns.cuh"
#include "core/cuda/warp.cuh"

namespace rmt::gpu {
namespace {

using cuda::kThreads, cuda::Values;

template <class T, int N>
__global__ void __launch_bounds__(cuda::kColumnThreads)
    gather_rows_forward_kernel(const T* x, const int64_t* index, T* y, int64_t M, int64_t rows,
                               int64_t C) {
  const int64_t c = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (c >= C) return;
  const int64_t step = int64_t(gridDim.y) * blockDim.y;
  for (int64_t i = int64_t(blockIdx.y) * blockDim.y + threadIdx.y; i < M; i += step) {
    const int64_t v = index[i];
    Values<Wide<T>, N> row = Wide<T>(NAN);
    if (v >= 0 && v < rows) row = cuda::load<N>(x + v * C + c);
    cuda::store<N>(y + i * C + c, row);
  }
}

struct Readers {  // of a row of dx
  unsigned first, count;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    clear_rows_kernel(T* dx, Readers* readers, int64_t rows, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) dx[i] = T(Wide<T>(0));
  if (i < rows) readers[i] = {0xffffffffu, 0};
}

__global__ void __launch_bounds__(kThreads)
    count_readers_kernel(const int64_t* index, Readers* readers, int64_t M, int64_t rows) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= M || index[i] < 0 || index[i] >= rows) return;
  atomicMin(&readers[index[i]].first, unsigned(i));
  atomicAdd(&readers[index[i]].count, 1u);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    gather_rows_backward_kernel(const T* dy, const int64_t* index, const Readers* readers, T* dx,
                                int64_t M, int64_t rows, int64_t C) {
  const int lane = int(threadIdx.x) % 32;
  const int64_t warp = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / 32,
                warps = (C + 32 * N - 1) / (32 * N), i = warp / warps,
                c = (warp % warps * 32 + lane) * N;
  if (i >= M) return;  // the whole warp, here and below
  const int64_t v = index[i];
  if (v < 0 || v >= rows || readers[v].first != unsigned(i)) return;
  Values<Wide<T>, N> sum = Wide<T>(0);
  unsigned missing = readers[v].count;
  for (int64_t first = i; missing > 0 && first < M; first += 32) {
    const bool own = first + lane < M && index[first + lane] == v;
    for (unsigned left = __ballot_sync(cuda::kFullWarp, own); left; left &= left - 1, --missing) {
      const int64_t reader = first + __ffs(int(left)) - 1;
      if (c < C) sum += cuda::load<N>(dy + reader * C + c);
    }
  }
  if (c < C) cuda::store<N>(dx + v * C + c, sum);
}

}  // namespace

template <class T>
void gather_rows_forward(const T* x, const int64_t* index, T* y, int64_t M, int64_t rows,
                         int64_t C) {
  if (M == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors = C % N == 0 && cuda::aligned(x, y);
  const cuda::ColumnBlocks blocks(vectors ? C / N : C);
  cuda::launch("gather_rows_forward",
               vectors ? gather_rows_forward_kernel<T, N> : gather_rows_forward_kernel<T, 1>,
               dim3(unsigned(blocks.tiles), unsigned(blocks.parts(M, 1, 65535))),
               dim3(blocks.tx, blocks.ty), 0, x, index, y, M, rows, C);
}

template <class T>
void gather_rows_backward(const T* dy, const int64_t* index, T* dx, int64_t M, int64_t rows,
                          int64_t C) {
  if (rows == 0) return;
  CHECK(M < int64_t(1) << 32, "gather_rows: ", M, " rows, expected fewer than 2^32");
  constexpr int N = 16 / int(sizeof(T));
  Storage storage(size_t(rows) * sizeof(Readers), Device::cuda);
  Readers* readers = static_cast<Readers*>(storage.data());
  cuda::launch("clear_rows", clear_rows_kernel<T>, dim3(unsigned(cuda::blocks_for(rows * C))),
               dim3(kThreads), 0, dx, readers, rows, rows * C);
  if (M == 0) return;
  cuda::launch("count_readers", count_readers_kernel, dim3(unsigned(cuda::blocks_for(M))),
               dim3(kThreads), 0, index, readers, M, rows);
  const bool vectors = C % N == 0 && cuda::aligned(dy, dx);
  const int64_t warps = M * cuda::blocks_for(C, 32 * (vectors ? N : 1));
  cuda::launch("gather_rows_backward",
               vectors ? gather_rows_backward_kernel<T, N> : gather_rows_backward_kernel<T, 1>,
               dim3(unsigned(cuda::blocks_for(warps, kThreads / 32))), dim3(kThreads), 0, dy, index,
               static_cast<const Readers*>(readers), dx, M, rows, C);
}

INSTANTIATE(gather_rows_forward)
INSTANTIATE(gather_rows_backward)

}  // namespace rmt::gpu
