// What the ops that move numbers share on the CPU: rows of `width` neighbours are copied as they
// are,
//
//   to[target(r) + c] = from[source(r) + c]     r < rows, c < width
//
// with source and target from row_places.h. No two rows may share a target.
#pragma once
#include <algorithm>

#include "core/rows.h"
#include "ops/kernels/row_places.h"

namespace rmt::cpu {

template <class T, class Source, class Target>
void copy_rows(int64_t rows, int64_t width, const T* from, Source source, T* to, Target target) {
  simd::for_each_row(rows, width,
                     [=](int64_t r) { std::copy_n(from + source(r), width, to + target(r)); });
}

}  // namespace rmt::cpu
