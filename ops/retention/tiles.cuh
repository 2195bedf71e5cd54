// Products of 32 x 32 tiles in shared memory, for any number of positions and channels. A block has
// 8 x 8 threads; thread (row, column) has 4 x 4 numbers of the product, its patch: those in the
// rows row + 8 r and the columns column + 8 u, r, u = 0, 1, 2, 3.
#pragma once
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"
#include "ops/retention/sequences.h"

namespace rmt::gpu::tiles {

constexpr int kSide = 32, kThreads = 64;
constexpr int kRow = kSide + 1;  // numbers from row to row: a column lies across all banks
constexpr int kTile = kSide * kRow;

template <class W>
struct Patch {
  W at[4][4];

  // f(i, j, number): the number in row i and column j of the tile.
  template <class F>
  __device__ __forceinline__ void for_each(const F& f) {
    const int row = int(threadIdx.x) / 8, column = int(threadIdx.x) % 8;
#pragma unroll
    for (int r = 0; r < 4; ++r)
#pragma unroll
      for (int u = 0; u < 4; ++u) f(row + 8 * r, column + 8 * u, at[r][u]);
  }

  // += a b, with a_ik = a[i ai + k ak] and b_kj = b[k bk + j bj].
  template <int ai, int ak, int bk, int bj>
  __device__ __forceinline__ void add_product(const W* a, const W* b) {
    const W* const x = a + int(threadIdx.x) / 8 * ai;
    const W* const y = b + int(threadIdx.x) % 8 * bj;
#pragma unroll 4
    for (int k = 0; k < kSide; ++k)
#pragma unroll
      for (int r = 0; r < 4; ++r)
#pragma unroll
        for (int u = 0; u < 4; ++u) at[r][u] += x[8 * r * ai + k * ak] * y[k * bk + 8 * u * bj];
  }
  __device__ __forceinline__ void add(const W* a, const W* b) {  // += a b
    add_product<kRow, 1, kRow, 1>(a, b);
  }
  __device__ __forceinline__ void add_transposed(const W* a, const W* b) {  // += a b^T
    add_product<kRow, 1, 1, kRow>(a, b);
  }
  __device__ __forceinline__ void add_of_transposed(const W* a, const W* b) {  // += a^T b
    add_product<1, kRow, kRow, 1>(a, b);
  }
};

// tile_ij = f(i, j) for i < rows, j < columns, else 0. To be read after a barrier.
template <class W, class F>
__device__ __forceinline__ void fill(W* tile, int64_t rows, int64_t columns, const F& f) {
  const int j = int(threadIdx.x) % kSide;
#pragma unroll 4
  for (int i = int(threadIdx.x) / kSide; i < kSide; i += kThreads / kSide)
    tile[i * kRow + j] = i < rows && j < columns ? W(f(i, j)) : W(0);
}

inline HD int64_t count(int64_t n) { return (n + kSide - 1) / kSide; }  // of tiles that hold n

// gamma^n, decay = log gamma.
template <class W>
__device__ __forceinline__ W power(W decay, int64_t n) {
  return cuda::exact_exp(decay * W(n));
}

}  // namespace rmt::gpu::tiles
