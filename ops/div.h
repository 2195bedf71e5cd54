// The quotient, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a / b, for a and b whose shapes broadcast and whose dtypes fit, as in ops/add.h, else an
// Error. Where b is 0, y is infinite, and nan for 0 / 0.
Tensor div(const Tensor& a, const Tensor& b);

}  // namespace rmt::ops
