// The loop of every elementwise kernel: y_i = f(x_i) is
//
//   for_each<T>(n, [=](auto i) { y[i] = f(x[i]); });
//
// where x and y are Views (core/simd.h), and i stands for as many neighbours as a vector has lanes.
#pragma once
#include "core/parallel.h"
#include "core/simd.h"

namespace rmt::simd {

// f(i) for the numbers 0 ... n - 1, spread over the threads; the last vector of a piece of work may
// be a part of one.
template <class T, class F>
void for_each(int64_t n, F f) {
  constexpr int V = lanes<T>;
  parallel_for(n, 1 << 14, [=](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + V <= end; i += V) f(Index<std::integral_constant<int, V>>{i});
    if (i < end) f(Index<int>{i, 0, int(end - i)});
  });
}

}  // namespace rmt::simd
