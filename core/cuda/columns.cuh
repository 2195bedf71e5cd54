// Kernels in which a thread keeps to N neighbouring columns of a (rows, C) block and walks down the
// rows, so that what belongs to a column stays in its registers.
//
//   column_sums   out_c = sum over the rows of what row r gives: the gradients of parameters. It
//                 takes two steps, both in a fixed order, so that the bits are the same on every
//                 run: `parts` blocks of threads each sum a share of the rows; these are added.
//   map_columns   y_rc = f(what f knows of column c, what it knows of row r, x_rc, ...).
#pragma once
#include <algorithm>

#include "core/cuda/elementwise.cuh"
#include "core/storage.h"

namespace rmt::cuda {

constexpr int kColumnThreads = 256;

// Threads (tx, ty) of a block: x counts groups of N columns, y rows. Whole rows when they fit, so
// that a block's accesses are contiguous.
struct ColumnBlocks {
  int64_t tiles;  // blocks side by side
  unsigned tx, ty;
  explicit ColumnBlocks(int64_t groups)
      : tiles(blocks_for(groups, 128)),
        tx(unsigned(blocks_for(groups, tiles))),
        ty(kColumnThreads / tx) {}
  // Blocks one above the other: about `blocks` in all, and `rows_each` rows or more for every
  // thread.
  int64_t parts(int64_t rows, int64_t rows_each, int64_t blocks) const {
    return std::clamp<int64_t>(rows / (rows_each * ty), 1,
                               std::clamp<int64_t>(blocks / tiles, 1, 65535));
  }
};

// Number n of x goes to p[n * kColumnThreads]: neighbouring threads then write to neighbouring
// banks of shared memory.
template <class T, int N>
__device__ __forceinline__ void spread(T* p, const Values<T, N>& x) {
#pragma unroll
  for (int n = 0; n < N; ++n) p[n * kColumnThreads] = x.at[n];
}

// f(row, column, sums) adds what N columns of a row give to sums[0 ... K). partial (parts, K, C).
// Threads (tx, ty): column group, row within a part.
template <int K, int N, class W, class F>
__global__ void __launch_bounds__(kColumnThreads)
    column_sums_kernel(F f, W* partial, int64_t rows, int64_t C) {
  static_assert(K * N * kColumnThreads * sizeof(W) <= 48 << 10,
                "more sums than shared memory holds; use a smaller N");
  SHARED(W, shared, K * N * kColumnThreads);  // [k][n][ty][tx]
  const int64_t parts = gridDim.y, part = blockIdx.y,
                column = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts;
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  Values<W, N> sums[K] = {};
  if (column < C)
    for (int64_t r = begin + threadIdx.y; r < end; r += blockDim.y) f(r, column, sums);
#pragma unroll
  for (int k = 0; k < K; ++k) spread(shared + k * N * kColumnThreads + thread, sums[k]);
  __syncthreads();
  const unsigned width = blockDim.x * N;  // columns of the block
  for (unsigned i = thread; i < K * width; i += blockDim.x * blockDim.y) {
    const unsigned k = i / width, at = i % width;
    const int64_t c = int64_t(blockIdx.x) * width + at;
    W total = 0;
    for (unsigned y = 0; y < blockDim.y; ++y)
      total += shared[(k * N + at % N) * kColumnThreads + y * blockDim.x + at / N];
    if (c < C) partial[(part * K + k) * C + c] = total;
  }
}

// out[k][c] = sum over parts of partial (parts, K, C); a null out is left out. Threads (x, y):
// column, every blockDim.y-th part.
template <class O>
struct Outputs {
  O* out[4];
};
template <class W, class O>
__global__ void __launch_bounds__(1024)
    add_parts_kernel(const W* partial, Outputs<O> to, int64_t parts, int64_t K, int64_t C) {
  SHARED(double, shared, 1024);
  const int64_t c = int64_t(blockIdx.x) * 32 + threadIdx.x, k = blockIdx.y;
  double total = 0;
  if (c < C && to.out[k]) {
#pragma unroll 8
    for (int64_t p = threadIdx.y; p < parts; p += blockDim.y)
      total += double(partial[(p * K + k) * C + c]);
  }
  shared[threadIdx.y * 32 + threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y > 0 || c >= C || !to.out[k]) return;
  for (unsigned y = 1; y < blockDim.y; ++y) total += shared[y * 32 + threadIdx.x];
  to.out[k][c] = O(total);
}
template <class W, class O>
void add_parts(const W* partial, Outputs<O> to, int64_t parts, int64_t K, int64_t C) {
  launch("add_parts", add_parts_kernel<W, O>, dim3(unsigned(blocks_for(C, 32)), unsigned(K)),
         dim3(32, unsigned(std::min<int64_t>(parts, 32))), 0, partial, to, parts, K, C);
}

// to.out[k][c] = sum over rows of what f adds. N columns a thread must divide C; f sees columns
// that are multiples of N. W is what it adds in, O what the sum over the parts, in double, becomes.
template <int K, int N, class O, class F, class W = O>
void column_sums(const char* name, F f, Outputs<O> to, int64_t rows, int64_t C) {
  static_assert(K <= 4);
  const ColumnBlocks blocks(C / N);
  // Enough blocks for the largest GPUs, each with some rows for every thread.
  const int64_t parts = blocks.parts(rows, 8, 1024);
  Storage partial(size_t(parts * K * C) * sizeof(W), Device::cuda);
  W* p = static_cast<W*>(partial.data());
  launch(name, column_sums_kernel<K, N, W, F>, dim3(unsigned(blocks.tiles), unsigned(parts)),
         dim3(blocks.tx, blocks.ty), 0, f, p, rows, C);
  add_parts(static_cast<const W*>(p), to, parts, K, C);
}

// y_rc = f(column, row, x_rc, ...) for N columns at once, where column = f.columns<N>(c) is what f
// needs of the columns c ... c + N - 1, and row = f.row(r) what it needs of row r. Two rows at a
// time: neither waits for the other's loads.
template <int N, class F, class T, class... X>
__global__ void __launch_bounds__(kColumnThreads)
    map_columns_kernel(F f, T* y, int64_t rows, int64_t C, const X*... x) {
  const int64_t c = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (c >= C) return;
  const auto column = f.template columns<N>(c);
  auto row = [&](int64_t r) -> Values<Wide<T>, N> {
    return f(column, f.row(unsigned(r)), load<N>(x + r * C + c)...);
  };
  const int64_t step = int64_t(gridDim.y) * blockDim.y;
  for (int64_t first = blockIdx.y * blockDim.y + threadIdx.y; first < rows; first += 2 * step) {
    const int64_t second = first + step < rows ? first + step : first;
    const Values<Wide<T>, N> a = row(first), b = row(second);
    store<N>(y + first * C + c, a);
    if (second != first) store<N>(y + second * C + c, b);
  }
}

// vectors: what f reads is aligned to 16 bytes.
template <class F, class T, class... X>
void map_columns(const char* name, F f, bool vectors, T* y, int64_t rows, int64_t C,
                 const X*... x) {
  if (rows == 0) return;
  // So that f.row() may divide in 32 bits.
  CHECK(rows < int64_t(1) << 32, name, ": ", rows, " rows, expected fewer than 2^32");
  constexpr int N = 16 / int(sizeof(T));
  auto run = [&](auto kernel, int64_t groups) {
    const ColumnBlocks blocks(groups);
    launch(name, kernel, dim3(unsigned(blocks.tiles), unsigned(blocks.parts(rows, 4, 4096))),
           dim3(blocks.tx, blocks.ty), 0, f, y, rows, C, x...);
  };
  if (vectors && aligned(y, x...) && C % N == 0)
    run(map_columns_kernel<N, F, T, X...>, C / N);
  else
    run(map_columns_kernel<1, F, T, X...>, C);
}

}  // namespace rmt::cuda
