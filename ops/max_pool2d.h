// A smaller map: every pixel is the maximum over a window of the larger one.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), f32, f64 or bf16 -> y (B, OH, OW, C) with OH = (H + 2 pad - k) / stride + 1,
// rounded down, and OW likewise. y_o is the greatest number in the k x k window o, each channel by
// itself; pixels outside the map do not count. A NaN is greater than all. Of equal numbers the
// first, row by row, gets the gradient. Throws Error for k outside [1, 4096], stride < 1, pad
// outside [0, k / 2], and windows larger than the padded map.
Tensor max_pool2d(const Tensor& x, int64_t k, int64_t stride, int64_t pad);

// The maximum over the whole map: y_bc = max over H and W of x_bhwc. x (B, H, W, C) with H and W in
// [1, 4096] -> (B, C); NaN, equal numbers and dtypes as above.
Tensor max_pool(const Tensor& x);

}  // namespace rmt::ops
