// A tensor becomes one number: what a loss is made of.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = sum_i x_i, of shape (). x of any shape, f32, f64 or bf16; y of x's dtype, but f32 for bf16.
Tensor sum(const Tensor& x);

}  // namespace rmt::ops
