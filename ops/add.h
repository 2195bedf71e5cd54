#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a + b, same shapes.
Tensor add(const Tensor& a, const Tensor& b);

}  // namespace rmt::ops
