// Layer normalisation: the channels of each position get mean 0 and variance 1, then a scale and a
// shift that are learned.
#pragma once
#include <array>

#include "autograd/tape.h"

namespace rmt::ops {

// y = (x - mean) / sqrt(var + eps) * w + bias, with mean and biased variance over the last
// dimension. x (..., C), C > 0, f32, f64 or bf16; w bias (C) of x's dtype, but f32 for bf16; y like
// x. An Error when w or bias have another shape or dtype.
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& bias, double eps);

// {x, layer_norm(x)} for an x that goes on beside its norm, as the trunk of a residual block does:
// the gradients of both are added in the pass that makes the second.
std::array<Tensor, 2> layer_norm_beside(const Tensor& x, const Tensor& w, const Tensor& bias,
                                        double eps);

}  // namespace rmt::ops
