// A convolution that keeps channels apart: each has a k x k filter of its own. With k k instead of
// k k C multiply-adds a number it is cheap, and is what RMT uses to mix neighbours
// (nn/rmt/README.md, "Local context and position").
//
//   y_p = bias + sum_t w_t x_(p + t - r) + residual_p       t over the k x k taps, r = k / 2
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), w (C, 1, k, k) with k odd, bias (C) or undefined, residual like x (x itself
// included) or undefined -> y (B, H, W, C). x counts as 0 outside the map. f32, f64; bf16 on a GPU,
// with w and bias in f32. Throws Error for other shapes and dtypes.
Tensor depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const Tensor& residual = {});

}  // namespace rmt::ops
