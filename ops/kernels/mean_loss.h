// Losses that are a mean over all elements: y = 1 / n sum_i f(x_i, t_i).
#pragma once
#include <algorithm>
#include <vector>

#include "core/rows.h"

namespace rmt::cpu {

// f takes and returns vectors. Blocks of 2048 numbers are added in T, a lane each its own sum; from
// there on in double, so that the error does not grow with n. (mean_loss.cuh is the same on a GPU.)
template <class T, class F>
T mean_loss(simd::View<const T> x, simd::View<const T> t, int64_t n, const F& f) {
  constexpr int64_t block = 2048;
  const int64_t parts = part_count(n, 1 << 15);
  std::vector<double> sums(parts);
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      for (int64_t begin = part_begin(n, parts, p), end = part_begin(n, parts, p + 1); begin < end;
           begin += block) {
        const simd::View<const T> few_x = x.data() + begin, few_t = t.data() + begin;
        sums[p] += double(simd::sum_columns<T>(std::min(block, end - begin),
                                               [&](auto i) { return f(few_x[i], few_t[i]); }));
      }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return T(total / double(n));
}

}  // namespace rmt::cpu
