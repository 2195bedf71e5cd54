// y = conv2d(gelu(batch_norm(x))) as one op, which in bf16 on a GPU writes neither batch_norm's
// result nor gelu's: what RMT's stem does three times (nn/rmt/README.md, "Stem and downsampling").
#pragma once
#include "ops/batch_norm.h"

namespace rmt::ops {

// x (B, H, W, I); norm of I channels, as in batch_norm.h; w (O, I, k, k), bias (O) or undefined,
// and moments of y as in conv2d.h -> y (B, OH, OW, O). dtypes and errors as in both.
Tensor norm_gelu_conv2d(const Tensor& x, const BatchNormInputs& norm, const Tensor& w,
                        const Tensor& bias, int64_t stride, int64_t pad, Tensor* moments = nullptr);

}  // namespace rmt::ops
