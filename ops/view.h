#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// The same elements under another shape (one extent may be -1); storage is shared.
Tensor view(const Tensor& x, const Shape& shape);

}  // namespace rmt::ops
