// The same numbers under another shape.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y has x's elements in the same order; one extent may be -1, for what is left. Storage is shared,
// so nothing is copied. An Error when the number of elements differs.
Tensor view(const Tensor& x, const Shape& shape);

}  // namespace rmt::ops
