#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x sigmoid(x), also called Swish.
Tensor silu(const Tensor& x);

}  // namespace rmt::ops
