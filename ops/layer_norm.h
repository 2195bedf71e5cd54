// Layer normalisation: the channels of each position get mean 0 and variance 1, then a scale and a
// shift that are learned.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = (x - mean) / sqrt(var + eps) * w + bias, with mean and biased variance over the last
// dimension. x (..., C), C > 0, f32, f64 or bf16; w bias (C) of x's dtype, but f32 for bf16; y like
// x. An Error when w or bias have another shape or dtype.
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& bias, double eps);

}  // namespace rmt::ops
