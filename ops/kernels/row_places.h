// Where the rows of a tensor begin, for the kernels that move rows of numbers as they are
// (copy_rows.h, copy_rows.cuh). A place is a function from the number of a row to the offset of its
// first element, and all its offsets are multiples of `unit`. Internal to ops/.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rmt {

// Row r begins at r * unit.
struct EveryRow {
  int64_t unit;
  HD int64_t operator()(int64_t r) const { return r * unit; }
};

// Row r, counted in the order (P, B, Q, A), of a tensor that is stored as (P, A, Q, B, unit).
// Fewer than 2^32 rows, so that a GPU may divide in 32 bits.
struct SwappedRow {
  int64_t unit;
  uint32_t A, Q, B;
  HD int64_t operator()(int64_t r) const {
    const uint32_t row = uint32_t(r), a = row % A, above = row / A, q = above % Q,
                   further = above / Q, b = further % B, p = further / B;
    return (((int64_t(p) * A + a) * Q + q) * B + b) * unit;
  }
};

}  // namespace rmt
