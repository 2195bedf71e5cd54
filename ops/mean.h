// The mean along one axis: tokens become one vector.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = 1 / n sum_i x[.., i, ..] over an axis of n > 0 elements, which y is without; a negative axis
// counts from the end. x of any rank, f32, f64 or bf16; y of x's dtype. Throws Error for an axis
// that is not there or is empty.
Tensor mean(const Tensor& x, int axis);

}  // namespace rmt::ops
