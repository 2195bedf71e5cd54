// A smaller map: every pixel is the mean over a window of the larger one.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), f32, f64 or bf16 -> y (B, OH, OW, C) with OH = (H + 2 pad - k) / stride + 1,
// rounded down, and OW likewise. y_o is the sum over the pixels of the k x k window o that are on
// the map, divided by k k, or without count_include_pad by their number. Throws Error for k outside
// [1, 4096], stride < 1, pad outside [0, k / 2], and windows larger than the padded map.
Tensor avg_pool2d(const Tensor& x, int64_t k, int64_t stride, int64_t pad,
                  bool count_include_pad = true);

}  // namespace rmt::ops
