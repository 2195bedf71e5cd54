#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// One k x k filter a channel, k odd, zero padding, same size out; plus a residual of x's shape (x
// itself included), in the same pass. x residual (B, H, W, C), w (C, 1, k, k), bias (C) or
// undefined.
Tensor depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const Tensor& residual = {});

}  // namespace rmt::ops
