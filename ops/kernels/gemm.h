// Matrix products on the CPU: one register tile of MR x NR accumulators serves all of them.
// Internal to ops/.
//
//   multiply_rows:        C (M, N) = A (M, K) B (K, N) + bias   rows of A contiguous: activations
//   times weights, forward and dx multiply_transposed:  C (M, N) = A^T B, A (K, M), B (K, N)  sums
//   over the rows of both: dw = dy^T x
//
// Pieces of work follow from M, N, K alone and every element of C is summed in one fixed order:
// results do not depend on the number of threads.
#pragma once
#include <cstdint>
#include <vector>

#include "core/simd.h"
#include "core/storage.h"

namespace rmt::cpu {

// 24 accumulators (12 rows of 2 vectors) of the 32 registers of AVX-512, 12 (6 x 2) of the 16
// elsewhere: per step 2 loads and MR broadcasts feed 2 MR multiply-adds.
inline constexpr int kRows = simd::kBytes == 64 ? 12 : 6;
template <class T>
inline constexpr int kCols = 2 * simd::lanes<T>;
// Steps in K between two visits of C: a sliver of B (kDepth x kCols) fills most of the first-level
// cache.
template <class T>
inline constexpr int64_t kDepth = 320 * 4 / int64_t(sizeof(T));

// B (K, N) cut into slivers of kCols columns, each stored k by k, zero beyond N: what the register
// tile reads.
template <class T>
class PackedB {
 public:
  // element (k, n) of B is at b[k * row + n * col]; one of row, col is 1
  PackedB(const T* b, int64_t row, int64_t col, int64_t K, int64_t N);
  int64_t K, N;
  const T* sliver(int64_t j) const {
    return static_cast<const T*>(data_.data()) + j * kCols<T> * K;
  }  // (K, kCols)

 private:
  Storage data_;
};

// How C is written.
template <class T>
struct Output {
  T* c;
  int64_t stride;           // between rows
  const T* bias = nullptr;  // (N), added to every row
  bool accumulate = false;  // C += instead of C =
};

// On the calling thread; A's row i is at a + i * lda.
template <class T>
void multiply_rows_serial(int64_t M, const T* a, int64_t lda, const PackedB<T>& b, Output<T> out);
// On all threads.
template <class T>
void multiply_rows(int64_t M, const T* a, int64_t lda, const PackedB<T>& b, Output<T> out);

// C += A^T B on the calling thread, C's rows ldc apart; column_sum (M) += sum_k A_km unless null.
template <class T>
void add_transposed_serial(int64_t M, int64_t N, int64_t K, const T* a, int64_t lda, const T* b,
                           int64_t ldb, T* c, int64_t ldc, T* column_sum);
// On all threads. C (M, N) contiguous; with column_sum (M) also sum_k A_km, in the same pass.
template <class T>
void multiply_transposed(int64_t M, int64_t N, int64_t K, const T* a, int64_t lda, const T* b,
                         int64_t ldb, T* c, T* column_sum = nullptr);

}  // namespace rmt::cpu
