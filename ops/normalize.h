#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y_bhwc = (x_bhwc / 255 - mean_c) / deviation_c, read from right to left where mirror_b = 1;
// normal noise inside the rectangle of erase_b = {x, y, width, height, key}.  x (B, H, W, 3) u8,
// mirror (B) u8, erase (B, 5) i64, each or undefined -> (B, H, W, 3) of `dtype`. No gradient.
//
struct NormalizeOptions {
  float mean[3], deviation[3];
};
Tensor normalize(const Tensor& x, const Tensor& mirror, const NormalizeOptions& options,
                 DType dtype, const Tensor& erase = {});

}  // namespace rmt::ops
