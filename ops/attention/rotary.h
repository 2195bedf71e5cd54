// The angles of the rotation: position n turns the pair of channels 2j, 2j + 1 of q and k by
// n angle_j, so that a score depends on the difference of two positions. (ops/attention/README.md,
// "Rotation".)
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// table_n,2j = cos(n angle_2j), table_n,2j+1 = sin(n angle_2j) for the raster index n = y W + x,
// taken in double and rounded to `dtype`. angle (D), f32 or f64, each value twice -> (H W, D). No
// gradient.
Tensor rotary_table(const Tensor& angle, int64_t H, int64_t W, DType dtype);

}  // namespace rmt::ops
