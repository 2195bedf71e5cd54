// A part of a tensor, cut out along one axis.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = the elements [begin, end) of one axis of x, a negative axis counted from the end: of x
// (..., n, ...) it is (..., end - begin, ...), a copy. f32, f64 or bf16; y like x. Throws Error for
// an axis that is not there, and unless 0 <= begin <= end <= n.
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);

}  // namespace rmt::ops
