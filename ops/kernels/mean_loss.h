// Sums over all elements, or over rows, divided by a number: the losses, of which the mean over all
// elements is y = 1 / n sum_i f(x_i, t_i), and ops::sum.
#pragma once
#include <algorithm>
#include <vector>

#include "core/rows.h"

namespace rmt::cpu {

// 1 / normaliser sum_i f(i) for i < n, f(i) a vector. Blocks of 2048 numbers are added in T, a lane
// each its own sum; from there on in double, so that the error does not grow with n.
// (mean_loss.cuh is the same on a GPU.)
template <class T, class F>
T sum_loss(int64_t n, double normaliser, const F& f) {
  constexpr int64_t block = 2048;
  const int64_t parts = part_count(n, 1 << 15);
  std::vector<double> sums(parts);
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      for (int64_t begin = part_begin(n, parts, p), end = part_begin(n, parts, p + 1); begin < end;
           begin += block) {
        simd::Vec<T> few{};
        simd::for_columns<T>(
            std::min(begin + block, end),
            [&](auto i) { few = simd::first_lanes<T>(i.count, few + f(i), few); }, begin);
        sums[p] += double(simd::sum<T>(few));
      }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return T(total / normaliser);
}

// f takes and returns vectors.
template <class T, class F>
T mean_loss(simd::View<const T> x, simd::View<const T> t, int64_t n, const F& f) {
  return sum_loss<T>(n, double(n), [&](auto i) { return f(x[i], t[i]); });
}

// The sum of f(r), a double, over rows of C numbers, in fixed parts.
template <class F>
double sum_of_rows(int64_t rows, int64_t C, const F& f) {
  const int64_t parts = part_count(rows, simd::row_grain(C));
  std::vector<double> sums(parts);
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      for (int64_t r = part_begin(rows, parts, p); r < part_begin(rows, parts, p + 1); ++r)
        sums[p] += f(r);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace rmt::cpu
