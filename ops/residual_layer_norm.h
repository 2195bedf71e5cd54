// One branch of a residual block joins its trunk, which is normalised for the next branch: two ops
// in one, because what they cost is to read and write memory.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

struct ResidualNorm {
  Tensor sum, normed;
};

// sum = residual_add(x, f, gamma, s) and normed = layer_norm(sum, w, bias, eps), with the shapes,
// dtypes and errors of these; gradients through either result.
ResidualNorm residual_layer_norm(const Tensor& x, const Tensor& f, const Tensor& gamma,
                                 const Tensor& s, const Tensor& w, const Tensor& bias, double eps);

}  // namespace rmt::ops
