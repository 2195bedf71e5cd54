// Two dimensions change places: rows become columns.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y[.., j, .., i, ..] = x[.., i, .., j, ..]: x with its dimensions a and b exchanged, negative ones
// counted from the end, as a copy (tensors have no strides). x of any rank but 0, f32, f64 or bf16;
// y of x's dtype. Throws Error for a dimension that is not there.
Tensor transpose(const Tensor& x, int a, int b);

}  // namespace rmt::ops
