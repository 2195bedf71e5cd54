#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = (x - mean) / sqrt(var + eps) * w + bias, mean and biased variance over the last dimension.  x
// (..., C), w bias (C).
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& bias, double eps);

}  // namespace rmt::ops
