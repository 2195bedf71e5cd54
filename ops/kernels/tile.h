// Small matrix products on tiles that lie in the cache: what attention does a few million times.
// Nothing is packed, nothing runs in parallel. Row-major tiles whose width is a multiple of the
// vector's; `multiply` reads A by any strides, so that A^T B needs no copy either.
#pragma once
#include "core/simd.h"
#include "ops/kernels/transpose.h"

namespace rmt::cpu::tile {

using simd::Vec;

// Rows of C whose sums fit the registers beside NV = 2 vectors of B: 14 divides the sides of RMT's
// maps (56, 28, 14) and 7 the rest.
constexpr int kRows = simd::kBytes == 64 ? 14 : 6;

// c_ij = sum_k a_ik b_kj for R rows and NV vectors of columns; a_ik = a[i row + k col]; c_ij +=
// with `add`.
template <class T, int R, int NV, class Row, class Col>
[[gnu::always_inline]] inline void block(int64_t K, const T* a, Row row, Col col, const T* b,
                                         int64_t ldb, T* c, int64_t ldc, bool add) {
  constexpr int V = simd::lanes<T>;
  Vec<T> sum[R][NV];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < NV; ++v) sum[i][v] = Vec<T>{};
  for (int64_t k = 0; k < K; ++k, a += col, b += ldb) {
    Vec<T> bk[NV];
    for (int v = 0; v < NV; ++v) bk[v] = simd::load<T>(b + v * V);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec<T> aik = simd::broadcast<T>(a[i * row]);
      for (int v = 0; v < NV; ++v) sum[i][v] += aik * bk[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < NV; ++v) {
      T* to = c + i * ldc + v * V;
      simd::store<T>(to, add ? simd::load<T>(to) + sum[i][v] : sum[i][v]);
    }
}

template <class T, int R, int NV, class Row, class Col>
void rows(int64_t M, int64_t K, const T* a, Row row, Col col, const T* b, int64_t ldb, T* c,
          int64_t ldc, bool add) {
  for (; M >= R; M -= R, a += R * row, c += R * ldc)
    block<T, R, NV>(K, a, row, col, b, ldb, c, ldc, add);
  if constexpr (R > 1)
    if (M > 0) rows<T, R / 2, NV>(M, K, a, row, col, b, ldb, c, ldc, add);
}

// C (M x N) = or, with `add`, += A (M x K) B (K x N);  a_ik = a[i row + k col], N a multiple of
// lanes<T>. row, col: numbers or std::integral_constants.
template <class T, class Row, class Col>
void multiply(int64_t M, int64_t N, int64_t K, const T* a, Row row, Col col, const T* b,
              int64_t ldb, T* c, int64_t ldc, bool add = false) {
  constexpr int V = simd::lanes<T>;
  int64_t j = 0;
  for (; j + 2 * V <= N; j += 2 * V)
    rows<T, kRows, 2>(M, K, a, row, col, b + j, ldb, c + j, ldc, add);
  for (; j + V <= N; j += V) rows<T, kRows, 1>(M, K, a, row, col, b + j, ldb, c + j, ldc, add);
}

// to (N x M) = from (M x N)^T.
template <class T>
void transpose(int64_t M, int64_t N, const T* from, T* to) {
  transpose_matrix(M, N, from, N, to, M);
}

}  // namespace rmt::cpu::tile
