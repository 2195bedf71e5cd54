// The rectified linear unit: negative numbers become 0.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = max(x, 0); the derivative at 0 is 0. x of any shape, f32, f64 or bf16; y like x. nan stays
// nan.
Tensor relu(const Tensor& x);

}  // namespace rmt::ops
