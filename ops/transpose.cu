// transpose.cpp's two cases. Rows: a thread to each 16 bytes. Matrices: a block of 32 x 8 threads
// takes a tile of 32 x 32 numbers through shared memory, so that neighbouring threads read
// neighbours and write neighbours.
#include "ops/kernels/copy_rows.cuh"

namespace rmt::gpu {
namespace {

constexpr int kTile = 32, kTileRows = 8;

// Blocks: the tiles of the P Q matrices, one matrix after the other.
template <class T>
__global__ void __launch_bounds__(kTile* kTileRows)
    transpose_kernel(const T* x, T* y, int64_t A, int64_t Q, int64_t B) {
  SHARED(T, tile,
         kTile * (kTile + 1));  // one column more: a column's numbers lie in different banks
  const int tx = int(threadIdx.x), ty = int(threadIdx.y);
  const int64_t across = (B + kTile - 1) / kTile, down = (A + kTile - 1) / kTile,
                matrix = blockIdx.x / (across * down), p = matrix / Q, q = matrix % Q,
                a0 = blockIdx.x / across % down * kTile, b0 = blockIdx.x % across * kTile;
  x += ((p * A + a0) * Q + q) * B + b0;
  y += ((p * B + b0) * Q + q) * A + a0;
  for (int i = ty; i < kTile; i += kTileRows)
    if (a0 + i < A && b0 + tx < B) tile[i * (kTile + 1) + tx] = x[i * Q * B + tx];
  __syncthreads();
  for (int i = ty; i < kTile; i += kTileRows)
    if (b0 + i < B && a0 + tx < A) y[i * Q * A + tx] = tile[tx * (kTile + 1) + i];
}

}  // namespace

template <class T>
void transpose_rows(const T* x, T* y, int64_t P, int64_t A, int64_t Q, int64_t B, int64_t R) {
  copy_rows("transpose_rows", P * B * Q * A, R, x,
            SwappedRow{R, uint32_t(A), uint32_t(Q), uint32_t(B)}, y, EveryRow{R});
}

template <class T>
void transpose_matrices(const T* x, T* y, int64_t P, int64_t A, int64_t Q, int64_t B) {
  const int64_t tiles = P * Q * cuda::blocks_for(A, kTile) * cuda::blocks_for(B, kTile);
  CHECK(tiles < int64_t(1) << 31, P * Q, " matrices are ", tiles,
        " tiles, expected fewer than 2^31");
  cuda::launch("transpose_matrices", transpose_kernel<T>, dim3(unsigned(tiles)),
               dim3(kTile, kTileRows), 0, x, y, A, Q, B);
}

INSTANTIATE(transpose_rows)
INSTANTIATE(transpose_matrices)

}  // namespace rmt::gpu
