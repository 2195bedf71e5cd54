// The hyperbolic tangent, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = tanh(x) = (e^x - e^-x) / (e^x + e^-x), from -1 to 1. x of any shape, f32, f64 or bf16; y like
// x.
Tensor tanh(const Tensor& x);

}  // namespace rmt::ops
