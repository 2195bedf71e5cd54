// The product, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a b, for a and b whose shapes broadcast and whose dtypes fit, as in ops/add.h, else an Error.
Tensor mul(const Tensor& a, const Tensor& b);

}  // namespace rmt::ops
