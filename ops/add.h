// Addition, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a + b. a b of the same shape and dtype (f32, f64, bf16), else an Error; y like them.
Tensor add(const Tensor& a, const Tensor& b);

}  // namespace rmt::ops
