// Scores become weights: positive, and of sum 1.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y_i = exp(x_i) / sum_j exp(x_j) over the last dimension, computed with x - max x, so that nothing
// overflows. x (..., M), M > 0, f32, f64 or bf16; y like x. A row of which one score is +inf, or
// all are -inf, becomes nan.
Tensor softmax(const Tensor& x);

}  // namespace rmt::ops
