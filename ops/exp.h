// The exponential function, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = e^x. x of any shape, f32, f64 or bf16; y like x, infinite where e^x passes the largest number
// of its dtype (x > 88.7 for f32 and bf16, x > 709.7 for f64).
Tensor exp(const Tensor& x);

}  // namespace rmt::ops
