// A map of features becomes one vector: what the head of the model looks at.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y_bc = mean over H and W of x_bhwc. x (B, H, W, C), H W > 0, f32, f64 or bf16 -> (B, C).
Tensor mean_pool(const Tensor& x);

}  // namespace rmt::ops
