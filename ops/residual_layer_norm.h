#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// sum = residual_add(x, f, gamma, s) and normed = layer_norm(sum, w, bias, eps), read and written
// once; gradients through either.
struct ResidualNorm {
  Tensor sum, normed;
};
ResidualNorm residual_layer_norm(const Tensor& x, const Tensor& f, const Tensor& gamma,
                                 const Tensor& s, const Tensor& w, const Tensor& bias, double eps);

}  // namespace rmt::ops
