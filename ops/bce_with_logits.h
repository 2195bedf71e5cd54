// The binary cross entropy: the loss of yes-or-no questions, as many as there are elements.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// The mean over all n elements of -t log p - (1 - t) log(1 - p) with p = sigmoid(x), of shape ();
// finite for every finite x. x of any shape with n > 0, f32, f64 or bf16; target, t, of x's shape
// and dtype, but f32 for bf16, its numbers in [0, 1]; y of target's dtype. The target has no
// gradient: an Error when it needs one.
Tensor bce_with_logits(const Tensor& x, const Tensor& target);

// The sum over all elements, each times its weight, divided by normaliser > 0; 0 for n = 0. weights
// of target's shape and dtype, without a gradient; undefined: all 1.
Tensor bce_with_logits(const Tensor& x, const Tensor& target, const Tensor& weights,
                       double normaliser);

}  // namespace rmt::ops
