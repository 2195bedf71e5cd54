// Kernels in which a thread keeps to N neighbouring columns of a (rows, C) block and walks down the
// rows, so that what belongs to a column stays in its registers.
//
//   column_sums   out_c = sum over the rows of what row r gives: the gradients of parameters. It
//                 takes two steps, both in a fixed order, so that the bits are the same on every
//                 run: `parts` blocks of threads each sum a share of the rows; these are added.
//   map_columns   y_rc = f(what f knows of column c, what it knows of row r, x_rc, ...).
#pragma once
#include <algorithm>
#include <memory>

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

// Sums that are still to be added: number i is the sum over p of from[p n + i].
template <class W>
struct Parts {
  const W* from = nullptr;
  int64_t parts = 0, n = 0;
};

// Memory for them.
template <class W>
struct Partial {
  std::unique_ptr<Storage> memory;
  int64_t parts, n;
  Partial(int64_t parts_, int64_t n_)
      : memory(std::make_unique<Storage>(size_t(parts_ * n_) * sizeof(W), Device::cuda)),
        parts(parts_),
        n(n_) {}
  W* at() const { return static_cast<W*>(memory->data()); }
  operator Parts<W>() const { return {at(), parts, n}; }
};

// to(i, sum) for the numbers of `first`, and then, where i goes on, for those of `second`. Threads
// (x, y): N neighbours of a block's 32 numbers, every blockDim.y-th part; 32 threads or more.
template <int N, class W, class To>
__global__ void __launch_bounds__(1024 / N)
    add_parts_kernel(Parts<W> first, Parts<W> second, To to) {
  SHARED(double, shared, 32 * 32);  // [y][number]
  const int64_t begin = int64_t(blockIdx.x) * 32, number = begin + threadIdx.x * N;
  const bool in_first = number < first.n;
  const Parts<W> s = in_first ? first : second;
  const int64_t i = in_first ? number : number - first.n;
  Values<double, N> total = 0;
  if (i < s.n) {
    const W* from = s.from + threadIdx.y * s.n + i;
    const unsigned own = (unsigned(s.parts) + blockDim.y - 1 - threadIdx.y) / blockDim.y;
#pragma unroll 4
    for (unsigned p = 0; p < own; ++p, from += blockDim.y * s.n)
      total += Values<double, N>(load<N>(from));
  }
#pragma unroll
  for (int n = 0; n < N; ++n) shared[threadIdx.y * 32 + threadIdx.x * N + n] = total.at[n];
  __syncthreads();
  const unsigned at = threadIdx.y * blockDim.x + threadIdx.x;
  if (at >= 32 || begin + at >= first.n + second.n) return;
  double sum = 0;
  for (unsigned y = 0; y < blockDim.y; ++y) sum += shared[y * 32 + at];
  to(begin + at, sum);
}
template <class W, class To>
void add_parts(const Parts<W>& first, const Parts<W>& second, const To& to) {
  constexpr int N = 16 / int(sizeof(W));
  const bool vectors = (first.n | second.n) % N == 0 && aligned(first.from, second.from);
  const int64_t n = vectors ? N : 1, parts = std::max(first.parts, second.parts);
  launch("add_parts", vectors ? add_parts_kernel<N, W, To> : add_parts_kernel<1, W, To>,
         dim3(unsigned(blocks_for(first.n + second.n, 32))),
         dim3(unsigned(32 / n), unsigned(std::clamp<int64_t>(parts, n, 32))), 0, first, second, to);
}

// Number i goes to out[i / C][i % C]; a null out is left out.
template <class O>
struct Outputs {
  O* out[4];
  int64_t C = 0;  // column_sums() sets it
  __device__ void operator()(int64_t i, double sum) const {
    O* to = out[0];
#pragma unroll
    for (int k = 1; k < 4; ++k)
      if (i >= C) {
        to = out[k];
        i -= C;
      }
    if (to) to[i] = O(sum);
  }
};

// Sums over the rows of what f adds, number k C + c, in parts. N columns a thread must divide C; f
// sees columns that are multiples of N. W is what it adds in.
template <int K, int N, class W, class F>
Partial<W> column_sums_in_parts(const char* name, F f, int64_t rows, int64_t C) {
  const ColumnBlocks blocks(C / N);
  // Enough blocks for the largest GPUs, each with some rows for every thread.
  const int64_t parts = blocks.parts(rows, 8, 1024);
  Partial<W> partial(parts, K * C);
  launch(name, column_sums_kernel<K, N, W, F>, dim3(unsigned(blocks.tiles), unsigned(parts)),
         dim3(blocks.tx, blocks.ty), 0, f, partial.at(), rows, C);
  return partial;
}

// to.out[k][c] = sum over rows of what f adds. O is what the sum of the parts, in double, becomes.
template <int K, int N, class O, class F, class W = O>
void column_sums(const char* name, F f, Outputs<O> to, int64_t rows, int64_t C) {
  static_assert(K <= 4);
  to.C = C;
  add_parts<W>(column_sums_in_parts<K, N, W>(name, f, rows, C), {}, to);
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
