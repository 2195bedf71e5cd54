#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a b elementwise, same shapes.
Tensor mul(const Tensor& a, const Tensor& b);

}  // namespace rmt::ops
