// From the bytes of images to what a model reads; mirrored, and with rectangles erased, on the way.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

struct NormalizeOptions {
  float mean[3], deviation[3];
};

// y_bhwc = (x_bhwc / 255 - mean_c) / deviation_c, read from right to left where mirror_b = 1, and
// normal noise inside the rectangle erase_b = {x, y, width, height, key}, a function of the key and
// the pixel. x (B, H, W, 3) u8; mirror (B) u8 and erase (B, 5) i64, each or undefined -> (B, H, W,
// 3) of `dtype`. No gradient.
Tensor normalize(const Tensor& x, const Tensor& mirror, const NormalizeOptions& options,
                 DType dtype, const Tensor& erase = {});

}  // namespace rmt::ops
