#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x Phi(x), Phi the normal distribution function: the exact GELU, by erf.
Tensor gelu(const Tensor& x);

}  // namespace rmt::ops
