// The mean squared error: the loss of a regression.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// The mean over all n elements of (x - target)^2, of shape (). x of any shape with n > 0, f32, f64
// or bf16; target of x's shape and dtype, but f32 for bf16; y of target's dtype. Both have
// gradients.
Tensor mse(const Tensor& x, const Tensor& target);

}  // namespace rmt::ops
