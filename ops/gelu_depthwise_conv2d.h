// y = g + bias + conv(g, w), g = gelu(x): depthwise_conv2d(g, w, bias, g) as one op, which on a GPU
// never writes g. The middle of RMT's feed-forward network (nn/rmt/README.md, "The feed-forward
// network").
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), w (C, 1, k, k) with k odd, bias (C) or undefined -> y (B, H, W, C). dtypes and
// errors as in depthwise_conv2d.h.
Tensor gelu_depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias);

}  // namespace rmt::ops
