#include "ops/kernels/gemm.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

namespace rmt::cpu {
namespace {

using simd::Vec;

// Rows of A in a block: kBlockRows x kDepth of them stay in the second-level cache.
constexpr int64_t kBlockRows = 16 * kRows;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// K cut into passes of equal depth, at most kDepth.
template <class T>
int64_t pass_depth(int64_t K) {
  return K == 0 ? 1 : ceil_div(K, ceil_div(K, kDepth<T>));
}

// The register tile drawn in gemm.h.
template <class T>
struct Tile {
  static constexpr int V = simd::lanes<T>, NR = kCols<T>;
  Vec<T> t[kRows][2];

  // t_ij = sum_k a_ik b_kj with a_ik = a[i * row + k * col] and b_kj = b[k * NR + j]. `row` and
  // `col` are std::integral_constants where the caller knows them.
  template <class Row, class Col>
  [[gnu::always_inline]] void multiply(int64_t K, const T* a, Row row, Col col, const T* b) {
    for (int i = 0; i < kRows; ++i) t[i][0] = t[i][1] = Vec<T>{};
    for (int64_t k = 0; k < K; ++k, a += col, b += NR) {
      const Vec<T> b0 = simd::load<T>(b), b1 = simd::load<T>(b + V);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const Vec<T> a_ik = simd::broadcast<T>(a[i * row]);
        t[i][0] += a_ik * b0;
        t[i][1] += a_ik * b1;
      }
    }
  }

  // c_ij = t_ij + bias_j, or c_ij += that, for the rows i in [skip, rows) and the first `cols`
  // columns. c and bias (null: none) point to what belongs to row 0 and column 0 of the tile.
  [[gnu::always_inline]] void write(T* c, int64_t stride, int skip, int rows, int cols,
                                    const T* bias, bool accumulate) {
    int n0 = std::min(cols, V), n1 = cols - n0;  // columns in the first vector and in the second
    if (cols == NR) n0 = n1 = V;                 // constants in the common case
    Vec<T> bias0{}, bias1{};
    if (bias) {
      bias0 = simd::load<T>(bias, n0);
      bias1 = simd::load<T>(bias + n0, n1);
    }
    if (skip == 0 && rows == kRows && cols == NR) {
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i)
        put(c + i * stride, t[i][0] + bias0, t[i][1] + bias1, V, V, accumulate);
    } else {
      // Rows that are not known when this is compiled are read from a copy in memory, so that t
      // itself can stay in registers.
      Vec<T> copy[kRows][2];
      std::memcpy(copy, t, sizeof t);
      for (int i = skip; i < rows; ++i)
        put(c + i * stride, copy[i][0] + bias0, copy[i][1] + bias1, n0, n1, accumulate);
    }
  }

 private:
  // n0 and n1 numbers of the two vectors, side by side.
  [[gnu::always_inline]] static void put(T* c, Vec<T> v0, Vec<T> v1, int n0, int n1,
                                         bool accumulate) {
    if (accumulate) {
      v0 += simd::load<T>(c, n0);
      v1 += simd::load<T>(c + n0, n1);
    }
    simd::store<T>(c, v0, n0);
    simd::store<T>(c + n0, v1, n1);
  }
};

template <int64_t n>
using Constant = std::integral_constant<int64_t, n>;

// --- C = A B + bias ---

// One pass: adds what the steps [k0, k0 + depth) of K give to `rows` rows of C and to the columns
// of the slivers [j0, j1). The first pass writes C, with the bias. a points to A's first row in
// column k0, out.c to C's.
template <class T>
void multiply_block(int64_t rows, const T* a, int64_t lda, const PackedB<T>& b, int64_t j0,
                    int64_t j1, int64_t k0, int64_t depth, const Output<T>& out) {
  T padded[kRows * kDepth<T>];  // fewer rows than a tile has: a copy with rows of zeros below
  if (rows < kRows) {
    std::memset(padded, 0, sizeof padded);
    for (int64_t i = 0; i < rows; ++i) std::copy_n(a + i * lda, depth, padded + i * depth);
    a = padded;
    lda = depth;
  }
  const bool first = k0 == 0;
  Tile<T> tile;
  for (int64_t j = j0; j < j1; ++j) {
    const T* sliver = b.sliver(j) + k0 * kCols<T>;
    const int cols = int(std::min<int64_t>(kCols<T>, b.N - j * kCols<T>));
    const T* bias = first && out.bias ? out.bias + j * kCols<T> : nullptr;
    for (int64_t i = 0; i < rows; i += kRows) {
      // The last tile reaches back to be whole; rows that are done already are not written again.
      const int64_t start = std::max<int64_t>(0, std::min(i, rows - kRows));
      tile.multiply(depth, a + start * lda, lda, Constant<1>(), sliver);
      tile.write(out.c + start * out.stride + j * kCols<T>, out.stride, int(i - start),
                 int(std::min<int64_t>(kRows, rows - start)), cols, bias, !first || out.accumulate);
    }
  }
}

// All of K for the rows [i0, i1) and the slivers [j0, j1).
template <class T>
void multiply_range(int64_t i0, int64_t i1, int64_t j0, int64_t j1, const T* a, int64_t lda,
                    const PackedB<T>& b, Output<T> out) {
  const int64_t depth = pass_depth<T>(b.K);
  for (int64_t i = i0; i < i1; i += kBlockRows) {
    Output<T> block = out;
    block.c += i * out.stride;
    for (int64_t k = 0; k < b.K; k += depth)
      multiply_block(std::min(kBlockRows, i1 - i), a + i * lda + k, lda, b, j0, j1, k,
                     std::min(depth, b.K - k), block);
  }
}

// K = 0: every sum is empty.
template <class T>
void fill_empty(int64_t M, int64_t N, const Output<T>& out) {
  for (int64_t i = 0; i < M; ++i)
    for (int64_t j = 0; j < N; ++j) {
      T& c = out.c[i * out.stride + j];
      c = (out.accumulate ? c : T(0)) + (out.bias ? out.bias[j] : T(0));
    }
}

// --- packing ---

// The first m columns of `depth` rows of a as slivers of `width` columns, [sliver][k][width], zero
// beyond m. Adds each column into sum unless that is null.
template <class T, int width>
void pack_columns(const T* a, int64_t lda, int64_t m, int64_t depth, T* out, T* sum) {
  int64_t whole = m / width * width;
  for (int64_t k = 0; k < depth; ++k, a += lda) {
    T* to = out + k * width;
    for (int64_t i = 0; i < whole; i += width, to += depth * width)
      std::memcpy(to, a + i, width * sizeof(T));
    if (whole < m)
      for (int c = 0; c < width; ++c) to[c] = whole + c < m ? a[whole + c] : T(0);
    if (sum)
      for (int64_t i = 0; i < m; ++i) sum[i] += a[i];
  }
}

// One sliver (K, kCols) of a B that is stored transposed: element (k, n) at b[n * col + k], n <
// cols. 16 steps in k at a time: as much of a row of the transposed matrix as a cache line or two
// hold.
template <class T>
void pack_transposed(const T* b, int64_t col, int64_t K, int cols, T* out) {
  constexpr int NR = kCols<T>;
  if (cols < NR) std::fill_n(out, K * NR, T(0));
  for (int64_t k0 = 0; k0 < K; k0 += 16)
    for (int c = 0; c < cols; ++c)
      for (int64_t k = k0; k < std::min(K, k0 + 16); ++k) out[k * NR + c] = b[c * col + k];
}

}  // namespace

template <class T>
PackedB<T>::PackedB(const T* b, int64_t row, int64_t col, int64_t depth, int64_t columns)
    : K(depth), N(columns), data_(round_up(columns, kCols<T>) * depth * sizeof(T)) {
  constexpr int NR = kCols<T>;
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / (NR * std::max<int64_t>(K, 1)));
  parallel_for(ceil_div(N, NR), grain, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      T* to = const_cast<T*>(sliver(j));
      const T* from = b + j * NR * col;
      const int64_t cols = std::min<int64_t>(NR, N - j * NR);
      if (col == 1)
        pack_columns<T, NR>(from, row, cols, K, to, nullptr);
      else
        pack_transposed(from, col, K, int(cols), to);
    }
  });
}

template <class T>
void multiply_rows_serial(int64_t M, const T* a, int64_t lda, const PackedB<T>& b, Output<T> out) {
  if (b.K == 0) return fill_empty(M, b.N, out);
  multiply_range<T>(0, M, 0, ceil_div(b.N, kCols<T>), a, lda, b, out);
}

// Pieces: blocks of rows, and of columns too where there are few rows.
template <class T>
void multiply_rows(int64_t M, const T* a, int64_t lda, const PackedB<T>& b, Output<T> out) {
  if (b.K == 0) return fill_empty(M, b.N, out);
  const int64_t slivers = ceil_div(b.N, kCols<T>), row_blocks = ceil_div(M, kBlockRows);
  const int64_t column_blocks =
      row_blocks >= 16 ? 1 : std::min(slivers, ceil_div(16, std::max<int64_t>(row_blocks, 1)));
  const auto first_row = [&](int64_t i) { return round_up(part_begin(M, row_blocks, i), kRows); };
  parallel_for(row_blocks * column_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t i = p / column_blocks, j = p % column_blocks;
      multiply_range(first_row(i), std::min(M, first_row(i + 1)),
                     part_begin(slivers, column_blocks, j),
                     part_begin(slivers, column_blocks, j + 1), a, lda, b, out);
    }
  });
}

// --- C = A^T B ---

// Both matrices are packed a pass at a time, A in slivers of kRows columns: then the tile reads
// each step of either side by side.
template <class T>
void add_transposed_serial(int64_t M, int64_t N, int64_t K, const T* a, int64_t lda, const T* b,
                           int64_t ldb, T* c, int64_t ldc, T* column_sum) {
  constexpr int NR = kCols<T>;
  const int64_t depth = pass_depth<T>(K);
  thread_local std::vector<T> packed_a, packed_b, pass_sum;
  packed_a.resize(round_up(M, kRows) * depth);
  packed_b.resize(round_up(N, NR) * depth);
  Tile<T> tile;
  for (int64_t k = 0; k < K; k += depth) {
    const int64_t d = std::min(depth, K - k);
    // Columns are summed a pass at a time, since rounding errors of sums of sums grow slower.
    if (column_sum) pass_sum.assign(M, T(0));
    pack_columns<T, kRows>(a + k * lda, lda, M, d, packed_a.data(),
                           column_sum ? pass_sum.data() : nullptr);
    for (int64_t i = 0; column_sum && i < M; ++i) column_sum[i] += pass_sum[i];
    pack_columns<T, NR>(b + k * ldb, ldb, N, d, packed_b.data(), nullptr);
    for (int64_t j = 0; j < N; j += NR)
      for (int64_t i = 0; i < M; i += kRows) {
        tile.multiply(d, packed_a.data() + i * d, Constant<1>(), Constant<kRows>(),
                      packed_b.data() + j * d);
        tile.write(c + i * ldc + j, ldc, 0, int(std::min<int64_t>(kRows, M - i)),
                   int(std::min<int64_t>(NR, N - j)), nullptr, true);
      }
  }
}

// Pieces: blocks of C that fit the caches, times parts of the sum over K where C is small. The
// first part of the sum goes to C itself, each other one to a C and a column sum of its own in
// `partial`; these are added in order.
template <class T>
void multiply_transposed(int64_t M, int64_t N, int64_t K, const T* a, int64_t lda, const T* b,
                         int64_t ldb, T* c, T* column_sum) {
  constexpr int64_t kBlockM = 24 * kRows, kBlockN = 512;
  const int64_t mb = ceil_div(M, kBlockM), nb = ceil_div(N, kBlockN);
  const int64_t most_parts = std::max<int64_t>(1, 16 / std::max<int64_t>(1, mb * nb));
  const int64_t parts = part_count(K, 1024, most_parts), size = M * N + M;
  std::vector<T> partial((parts - 1) * size);
  std::fill_n(c, M * N, T(0));
  if (column_sum) std::fill_n(column_sum, M, T(0));
  parallel_for(parts * mb * nb, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t p = piece / (mb * nb);
      const int64_t m = piece / nb % mb * kBlockM, n = piece % nb * kBlockN;
      const int64_t k0 = part_begin(K, parts, p), k1 = part_begin(K, parts, p + 1);
      T* to = p == 0 ? c : partial.data() + (p - 1) * size;
      T* sum = p == 0 ? column_sum : to + M * N;
      const bool with_sum = column_sum && n == 0;  // once for each block of rows of C
      add_transposed_serial(std::min(kBlockM, M - m), std::min(kBlockN, N - n), k1 - k0,
                            a + k0 * lda + m, lda, b + k0 * ldb + n, ldb, to + m * N + n, N,
                            with_sum ? sum + m : nullptr);
    }
  });
  const auto add_parts = [&](T* to, int64_t offset, int64_t n) {
    parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t p = 1; p < parts; ++p) {
        const T* from = partial.data() + (p - 1) * size + offset;
        for (int64_t i = begin; i < end; ++i) to[i] += from[i];
      }
    });
  };
  if (parts == 1) return;
  add_parts(c, 0, M * N);
  if (column_sum) add_parts(column_sum, M * N, M);
}

#define INSTANTIATE(T)                                                \
  template class PackedB<T>;                                          \
  template decltype(multiply_rows_serial<T>) multiply_rows_serial<T>; \
  template decltype(multiply_rows<T>) multiply_rows<T>;               \
  template decltype(multiply_transposed<T>) multiply_transposed<T>;   \
  template decltype(add_transposed_serial<T>) add_transposed_serial<T>;
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace rmt::cpu
