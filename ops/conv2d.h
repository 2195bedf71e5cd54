#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// Cross-correlation.  x (B, H, W, I), w (O, I, k, k), bias (O) or undefined -> (B, H', W', O), H' =
// (H + 2 pad - k) / stride + 1.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride, int64_t pad);

}  // namespace rmt::ops
