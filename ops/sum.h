#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = sum of all elements, shape ().
Tensor sum(const Tensor& x);

}  // namespace rmt::ops
