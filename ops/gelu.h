// GELU, the activation of the feed-forward networks: x passes as far as it is large among normally
// distributed numbers.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2: the exact GELU, not its approximation by tanh.
// x of any shape, f32, f64 or bf16; y like x.
Tensor gelu(const Tensor& x);

}  // namespace rmt::ops
