// Matrices are transposed on the CPU in squares of as many numbers a side as a vector has lanes, so
// that what is read and what is written are whole vectors. Internal to ops/.
#pragma once
#include <algorithm>

#include "core/simd.h"

namespace rmt::cpu {

// y_ji = x_ij for i < rows, j < columns; the rows of x are `x_row` numbers apart, those of y
// `y_row`. On the calling thread.
template <class T>
void transpose_matrix(int64_t rows, int64_t columns, const T* x, int64_t x_row, T* y,
                      int64_t y_row) {
  constexpr int64_t V = simd::lanes<T>;
  for (int64_t i = 0; i < rows; i += V)
    for (int64_t j = 0; j < columns; j += V) {
      const T* from = x + i * x_row + j;
      T* to = y + j * y_row + i;
      if (i + V <= rows && j + V <= columns) {
        simd::Vec<T> v[V];
#pragma GCC unroll 16
        for (int r = 0; r < V; ++r) v[r] = simd::load<T>(from + r * x_row);
        simd::transpose<T>(v);
#pragma GCC unroll 16
        for (int r = 0; r < V; ++r) simd::store<T>(to + r * y_row, v[r]);
      } else {
        for (int64_t r = 0; r < std::min(V, rows - i); ++r)
          for (int64_t c = 0; c < std::min(V, columns - j); ++c)
            to[c * y_row + r] = from[r * x_row + c];
      }
    }
}

}  // namespace rmt::cpu
