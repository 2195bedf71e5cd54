// Loops over a (rows, C) block whose columns are contiguous: a row at a time, rows spread over the
// threads; and sums over its rows.
#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "core/simd.h"

namespace rmt::simd {

// The first N of lanes<T> numbers, `rest` in the other lanes (a value that the reduction at hand
// ignores). N is constant, so that this is a narrow load and at most a blend, where load(p, n) goes
// through memory.
template <class T, int N>
inline Vec<T> load(const T* p, std::integral_constant<int, N>, T rest = 0) {
  if constexpr (N == lanes<T>) return load(p);
  typedef T Part __attribute__((vector_size(N * sizeof(T))));
  Part part;
  std::memcpy(&part, p, sizeof part);
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(part, rest - Part{}, (I < N ? I : N)...);
  }
  (std::make_integer_sequence<int, lanes<T>>());
}

// f(c, count) for the vectors of one row: full ones, then the rest as a sum of powers of two. Give
// f an `auto count`: it is a compile-time constant.
template <class T, int N = lanes<T>, class F>
inline void for_columns(int64_t C, const F& f, int64_t c = 0) {
  for (; C - c >= N; c += N) f(c, std::integral_constant<int, N>());
  if constexpr (N > 1)
    if (c < C) for_columns<T, N / 2>(C, f, c);
}

// How many rows of C numbers make a piece of work worth handing to another thread, about 2^15
// numbers.
inline int64_t row_grain(int64_t C) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, C));
}

// f(begin, end) for pieces of [0, rows).
template <class F>
void for_rows(int64_t rows, int64_t C, const F& f) {
  parallel_for(rows, row_grain(C), f);
}

// n sums over the rows of a (rows, C) block. add(begin, end, sums) adds what the rows [begin, end)
// give to sums[0 ... n), which it gets as numbers of type T and for at most 128 rows; these go into
// double sums, one set for each of up to 16 fixed parts of the rows, added in order.
template <class T, class F>
std::vector<double> sum_rows(int64_t rows, int64_t C, int64_t n, const F& add) {
  const int64_t parts = part_count(rows, row_grain(C)), block = 128;
  std::vector<double> sums(size_t(parts * n));
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    std::vector<T> part(static_cast<size_t>(n));
    for (int64_t p = first; p < last; ++p)
      for (int64_t begin = part_begin(rows, parts, p), end = part_begin(rows, parts, p + 1);
           begin < end; begin += block) {
        std::fill(part.begin(), part.end(), T(0));
        add(begin, std::min(begin + block, end), part.data());
        for (int64_t i = 0; i < n; ++i) sums[size_t(p * n + i)] += double(part[size_t(i)]);
      }
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < n; ++i) sums[size_t(i)] += sums[size_t(p * n + i)];
  sums.resize(size_t(n));
  return sums;
}

}  // namespace rmt::simd
