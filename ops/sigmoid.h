// The logistic function: any number becomes a probability.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = 1 / (1 + exp(-x)), from 0 to 1. x of any shape, f32, f64 or bf16; y like x.
Tensor sigmoid(const Tensor& x);

}  // namespace rmt::ops
