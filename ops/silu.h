// SiLU, also called Swish: x passes as far as its own sigmoid lets it.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x sigmoid(x), sigmoid(x) = 1 / (1 + exp(-x)). x of any shape, f32, f64 or bf16; y like x.
Tensor silu(const Tensor& x);

}  // namespace rmt::ops
