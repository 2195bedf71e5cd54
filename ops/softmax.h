#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = exp(x - max x) / sum exp(x - max x) over the last dimension.
Tensor softmax(const Tensor& x);

}  // namespace rmt::ops
