// The natural logarithm, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = log(x). x of any shape, f32, f64 or bf16; y like x. log(0) is -inf and the logarithm of a
// negative number nan.
Tensor log(const Tensor& x);

}  // namespace rmt::ops
