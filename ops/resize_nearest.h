// A map of another size, each pixel a copy of one: for labels and masks, and the cheapest.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), f32, f64 or bf16 -> y (B, OH, OW, C), y_oy,ox = x_iy,ix with
// iy = floor(oy H / OH) and ix = floor(ox W / OW), in exact integers. Throws Error for an empty x
// or y, and for H OH or W OW from 2^29 on.
Tensor resize_nearest(const Tensor& x, int64_t OH, int64_t OW);

}  // namespace rmt::ops
