// matmul.cpp's products. A single one, and large ones one after the other, by cuBLASLt (gemm.cuh).
// Many small ones in one launch: a block of 16 x 16 threads has a tile of 64 x 64 numbers of y, a
// thread 4 x 4 of them in its registers, and for each 16 steps in K the block loads a tile of A and
// one of B into shared memory, where 64 threads use each number.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/gemm.cuh"

namespace rmt::gpu {
namespace {

constexpr int kSide = 64, kSteps = 16, kEach = 4;
constexpr int kRow = kSide + kEach;  // of a tile; longer than kSide, for the banks' sake
using cuda::kThreads, cuda::Values;

// tile[k][i] = element (first_i + i, first_k + k) of a matrix (I, K), 0 beyond it. It lies as
// (I, K) in memory, or as (K, I); neighbouring threads read neighbours.
template <class T, class W>
__device__ __forceinline__ void load_tile(W* tile, const T* x, bool k_inside, int first_i, int I,
                                          int first_k, int K) {
  const int t = int(threadIdx.x), i = k_inside ? t / kSteps : t % kSide,
            k = k_inside ? t % kSteps : t / kSide;
  const int di = k_inside ? kThreads / kSteps : 0, dk = k_inside ? 0 : kThreads / kSide;
  const int64_t row = k_inside ? K : 1, column = k_inside ? 1 : I;  // distances in memory
  x += (first_i + i) * row + (first_k + k) * column;
#pragma unroll
  for (int n = 0; n < kSide * kSteps / kThreads; ++n) {
    const bool inside = first_i + i + n * di < I && first_k + k + n * dk < K;
    tile[(k + n * dk) * kRow + i + n * di] = inside ? W(x[n * (di * row + dk * column)]) : W(0);
  }
}

// Blocks: the tiles of y, one product after the other. `vectors`: N is a multiple of kEach.
template <class T>
__global__ void __launch_bounds__(kThreads)
    matmul_kernel(const T* a, const T* b, T* y, int M, int N, int K, bool transpose_a,
                  bool transpose_b, bool vectors) {
  using W = Wide<T>;
  SHARED(W, tile_a, kSteps * kRow);
  SHARED(W, tile_b, kSteps * kRow);
  const int row = int(threadIdx.x) / 16 * kEach, column = int(threadIdx.x) % 16 * kEach;
  const int across = (N + kSide - 1) / kSide, down = (M + kSide - 1) / kSide,
            tile = int(blockIdx.x) % (across * down), m0 = tile / across * kSide,
            n0 = tile % across * kSide;
  const int64_t product = int(blockIdx.x) / (across * down);
  a += product * M * K;
  b += product * K * N;
  y += product * M * N;
  Values<W, kEach> sums[kEach] = {};
  for (int k0 = 0; k0 < K; k0 += kSteps) {
    load_tile(tile_a, a, !transpose_a, m0, M, k0, K);
    load_tile(tile_b, b, transpose_b, n0, N, k0, K);
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kSteps; ++k) {
      const auto a_k = cuda::load<kEach>(tile_a + k * kRow + row),
                 b_k = cuda::load<kEach>(tile_b + k * kRow + column);
#pragma unroll
      for (int r = 0; r < kEach; ++r) sums[r] += a_k.at[r] * b_k;
    }
    __syncthreads();  // the tiles may be written again
  }
#pragma unroll
  for (int r = 0; r < kEach; ++r) {
    const int m = m0 + row + r, n = n0 + column;
    T* to = y + int64_t(m) * N + n;
    if (m < M && vectors && n < N) cuda::store<kEach>(to, sums[r]);
#pragma unroll
    for (int c = 0; c < kEach; ++c)
      if (m < M && !vectors && n + c < N) to[c] = T(sums[r].at[c]);
  }
}

}  // namespace

template <class T>
void matmul(const T* a, const T* b, T* y, int64_t batch, int64_t M, int64_t N, int64_t K,
            bool transpose_a, bool transpose_b) {
  if (batch * M * N == 0) return;
  if (batch == 1 || M * N * K >= 1 << 26) {
    for (int64_t i = 0; i < batch; ++i)
      multiply<T>(M, N, K, {a + i * M * K, transpose_a}, {b + i * K * N, transpose_b},
                  y + i * M * N);
    return;
  }
  const int64_t tiles = batch * cuda::blocks_for(M, kSide) * cuda::blocks_for(N, kSide);
  CHECK(tiles < int64_t(1) << 31, batch, " products are ", tiles,
        " tiles, expected fewer than 2^31");
  cuda::launch("matmul", matmul_kernel<T>, dim3(unsigned(tiles)), dim3(kThreads), 0, a, b, y, M, N,
               K, transpose_a, transpose_b, N % kEach == 0);
}

INSTANTIATE(matmul)

}  // namespace rmt::gpu
