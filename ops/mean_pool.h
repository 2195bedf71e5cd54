#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y_bc = mean over H, W of x_bhwc.  (B, H, W, C) -> (B, C).
Tensor mean_pool(const Tensor& x);

}  // namespace rmt::ops
