// Kernels over a (rows, C) block, one row after the other, written as their formulas. The row of
// y_rc = (x_rc - mean) rstd w_c + bias_c is
//
//   for_columns<T>(C, [&](auto c) { y(r, c) = (x(r, c) - mean) * rstd * w[c] + bias[c]; });
//
// where x, y (rows, C) and w, bias (C) are Views (core/simd.h), and c stands for as many
// neighbouring columns as a vector has lanes.
#pragma once
#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "core/simd.h"

namespace rmt::simd {

// f(c) for the columns of one row, a vector at a time; the last ones as a sum of powers of two, so
// that c.count is a constant and each load a single instruction.
template <class T, int N = lanes<T>, class F>
inline void for_columns(int64_t C, const F& f, int64_t first = 0) {
  using Count = std::integral_constant<int, N>;
  for (; C - first >= N; first += N) {
    if constexpr (std::is_invocable_v<const F&, Index<Count>>)
      f(Index<Count>{first, C});
    else
      f(first, Count());
  }
  if constexpr (N > 1)
    if (first < C) for_columns<T, N / 2>(C, f, first);
}

// `v` in the first N lanes, `rest` in the others.
template <class T, int N>
inline Vec<T> first_lanes(std::integral_constant<int, N>, Vec<T> v, Vec<T> rest) {
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(v, rest, (I < N ? I : I + lanes<T>)...);
  }
  (std::make_integer_sequence<int, lanes<T>>());
}

// The sum of f(c) over the columns of one row.
template <class T, class F>
inline T sum_columns(int64_t C, const F& f) {
  Vec<T> total{};
  for_columns<T>(C, [&](auto c) { total = first_lanes<T>(c.count, total + f(c), total); });
  return sum(total);
}

// The greatest f(c) over the columns of one row.
template <class T, class F>
inline T max_columns(int64_t C, const F& f) {
  Vec<T> most = broadcast(-std::numeric_limits<T>::infinity());
  for_columns<T>(C, [&](auto c) { most = first_lanes<T>(c.count, max<T>(most, f(c)), most); });
  return max_lane<T>(most);
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

// f(r) for each row.
template <class F>
void for_each_row(int64_t rows, int64_t C, const F& f) {
  for_rows(rows, C, [&f](int64_t begin, int64_t end) {
    const F row = f;  // a copy, which the compiler knows that no store changes
    for (int64_t r = begin; r < end; ++r) row(r);
  });
}

// n sums over the rows of a (rows, C) block: add(r, sums) adds what row r gives to sums[0 ... n).
// Up to 128 rows are added in T, these sums in double, one set for each of up to 16 fixed parts of
// the rows, and these in order.
template <class T, class F>
std::vector<double> sum_rows(int64_t rows, int64_t C, int64_t n, const F& add) {
  constexpr int64_t block = 128;
  const int64_t parts = part_count(rows, row_grain(C));
  std::vector<double> sums(parts * n);
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    const F add_row = add;  // a copy, which the compiler knows that no store changes
    std::vector<T> few(n);
    for (int64_t p = first; p < last; ++p)
      for (int64_t begin = part_begin(rows, parts, p), end = part_begin(rows, parts, p + 1);
           begin < end; begin += block) {
        std::fill(few.begin(), few.end(), T(0));
        for (int64_t r = begin; r < std::min(begin + block, end); ++r) add_row(r, few.data());
        for (int64_t i = 0; i < n; ++i) sums[p * n + i] += double(few[i]);
      }
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < n; ++i) sums[i] += sums[p * n + i];
  sums.resize(n);
  return sums;
}

}  // namespace rmt::simd
