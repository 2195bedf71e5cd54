// Matrix products on the CPU: one register tile of kRows x kCols sums serves all of them. Internal
// to ops/.
//
//   multiply_rows        C (M, N) = A (M, K) B (K, N) + bias    activations times weights: y and dx
//   multiply_transposed  C (M, N) = A^T B, A (K, M), B (K, N)   sums over rows: dw = dy^T x
//
// The register tile walks down K. In each step it takes one row of B, two vectors wide, and one
// column of A, and adds their outer product to the sums that it keeps in registers:
//
//                                         row k of B
//                                    +--------+--------+
//                                    |   b0   |   b1   |
//                                    +--------+--------+
//             column k of A
//               +------+             +--------+--------+
//               | a_0k |  broadcast  | t[0][0]| t[0][1]|   t[0] += a_0k (b0, b1)
//               | a_1k |      ->     | t[1][0]| t[1][1]|   t[1] += a_1k (b0, b1)
//               |  ..  |             |   ..   |   ..   |
//               +------+             +--------+--------+   kRows x kCols sums: a tile of C
//
// A step is 2 loads, kRows broadcasts and 2 kRows multiply-adds. B's rows are read one after the
// other, so B is packed first, in slivers:
//
//       B (K, N)                         packed
//       +----+----+----+--+              +----+   +----+   +----+   +--00+
//       | 0  | 1  | 2  |3 |      ->      | 0  |   | 1  |   | 2  |   |3 00|   each (K, kCols),
//       |    |    |    |  |              |    |   |    |   |    |   |  00|   zero beyond N
//       +----+----+----+--+              +----+   +----+   +----+   +--00+
//
// Around the tile lie loops that keep what it reads in the caches:
//
//   for each block of rows of A                   one piece of work
//     for each pass over at most kDepth of K      the block's part of A: in the second-level cache
//       for each sliver of B                      its kDepth x kCols: in the first-level cache
//         for each kRows rows of the block        one register tile
//
// The pieces of work follow from M, N, K alone and every element of C is summed in one fixed order:
// results do not depend on the number of threads.
#pragma once
#include <cstdint>
#include <vector>

#include "core/simd.h"
#include "core/storage.h"

namespace rmt::cpu {

// 24 sums (12 rows of 2 vectors) in the 32 registers of AVX-512, 12 (6 x 2) in the 16 elsewhere.
inline constexpr int kRows = simd::kBytes == 64 ? 12 : 6;
template <class T>
inline constexpr int kCols = 2 * simd::lanes<T>;
// Steps in K between two visits of C: a sliver of B (kDepth x kCols) fills most of the first-level
// cache.
template <class T>
inline constexpr int64_t kDepth = 320 * 4 / int64_t(sizeof(T));

// B (K, N) in slivers, as drawn above.
template <class T>
class PackedB {
 public:
  // Element (k, n) of B is at b[k * row + n * col]; one of row, col is 1.
  PackedB(const T* b, int64_t row, int64_t col, int64_t K, int64_t N);
  int64_t K, N;
  // Columns [j kCols, (j + 1) kCols): (K, kCols).
  const T* sliver(int64_t j) const {
    return static_cast<const T*>(data_.data()) + j * kCols<T> * K;
  }

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

// out = A B (+ bias), A's row i at a + i * lda. On all threads.
template <class T>
void multiply_rows(int64_t M, const T* a, int64_t lda, const PackedB<T>& b, Output<T> out);
// The same on the calling thread alone.
template <class T>
void multiply_rows_serial(int64_t M, const T* a, int64_t lda, const PackedB<T>& b, Output<T> out);

// C = A^T B with C (M, N) contiguous, row k of A and B at a + k * lda and b + k * ldb. Unless
// column_sum is null, also column_sum (M) = sum_k A_km in the same pass: dbias beside dw. On all
// threads.
template <class T>
void multiply_transposed(int64_t M, int64_t N, int64_t K, const T* a, int64_t lda, const T* b,
                         int64_t ldb, T* c, T* column_sum = nullptr);
// C += A^T B and column_sum += likewise, C's rows ldc apart, on the calling thread alone.
template <class T>
void add_transposed_serial(int64_t M, int64_t N, int64_t K, const T* a, int64_t lda, const T* b,
                           int64_t ldb, T* c, int64_t ldc, T* column_sum);

}  // namespace rmt::cpu
