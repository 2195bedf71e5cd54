#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = g + bias + conv(g, w), g = gelu(x): depthwise_conv2d(g, w, bias, g) as one op, which on a GPU
// never writes g. x (B, H, W, C), w (C, 1, k, k), bias (C) or undefined.
Tensor gelu_depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias);

}  // namespace rmt::ops
