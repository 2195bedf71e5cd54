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

// The same side by side in one tensor: y (..., sum O_i), the columns of y_0 first. It is one
// product, and so are dx (a sum over all O_i) and dw; the gradients of the w_i are parts of one
// tensor, and so are those of the biases. Where the w_i that are multiplied lie one behind the
// other in memory, as the bf16 copies of a model's do (Module::make_shadows), nothing is copied to
// stack them.
Tensor packed_linears(const Tensor& x, const std::vector<Tensor>& w,
                      const std::vector<Tensor>& bias);

}  // namespace rmt::ops
