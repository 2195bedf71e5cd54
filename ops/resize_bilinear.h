// A map of another size, interpolated between the middles of pixels (align_corners = false).
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), f32, f64 or bf16 -> y (B, OH, OW, C). Pixel (oy, ox) of y lies at row
// max(0, (oy + 1/2) H / OH - 1/2) of x and at the column likewise; it is the mean of the four
// pixels of x around that place, weighted by nearness, those beyond the last row or column being as
// the last. Four are read when a map shrinks, too: there is no antialiasing. Throws Error for an
// empty x or y, and for H OH or W OW from 2^29 on.
Tensor resize_bilinear(const Tensor& x, int64_t OH, int64_t OW);

}  // namespace rmt::ops
