#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// = cos(n angle_2j), rotary_n,2j+1 = sin(n angle_2j) for the raster index n = y W + x: the table of
// theta_shift, taken in double and rounded to `dtype`.  angle (D), each value twice -> (H W, D). No
// gradient.
Tensor rotary_table(const Tensor& angle, int64_t H, int64_t W, DType dtype);

}  // namespace rmt::ops
