// y = x w^T + bias: the fully connected layer, on every row of x alike.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (..., I), w (O, I), bias (O) or undefined -> y (..., O). f32, f64; bf16 on a GPU, with w and
// bias in f32 (multiplied in bf16, summed in f32). Throws Error for shapes and dtypes that do not
// fit.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});

// y_i = x w_i^T + bias_i for several w_i, the queries, keys and values of an attention: linear() of
// one x, whose gradient is summed inside the products. As many w as bias, which may be undefined.
std::vector<Tensor> linears(const Tensor& x, const std::vector<Tensor>& w,
                            const std::vector<Tensor>& bias);

}  // namespace rmt::ops
