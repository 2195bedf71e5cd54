// The loop of every elementwise kernel.
#pragma once
#include "core/parallel.h"
#include "core/simd.h"

namespace rmt::simd {

// f(i, count) for consecutive i, where count is lanes<T> but for the last, partial vector of a
// piece. load(p + i, count) and store(p + i, v, count) cost no more than the full ones there, since
// count is a constant in the main loop.
template <class T, class F>
void for_vectors(int64_t n, F f) {
  constexpr int V = lanes<T>;
  parallel_for(n, 1 << 14, [=](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + V <= end; i += V) f(i, V);
    if (i < end) f(i, int(end - i));
  });
}

}  // namespace rmt::simd
