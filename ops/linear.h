#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x w^T + bias.  x (..., I), w (O, I), bias (O) or undefined -> (..., O).
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});
// y_i = x w_i^T + bias_i for several w_i: linear() of one x, whose gradient is summed inside the
// products.
std::vector<Tensor> linears(const Tensor& x, const std::vector<Tensor>& w,
                            const std::vector<Tensor>& bias);

}  // namespace rmt::ops
