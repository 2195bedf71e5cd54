// The Huber loss of boxes' coordinates: quadratic near 0, beyond it the absolute difference.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// 1 / normaliser sum_ic weights_i h(x_ic - target_ic), of shape (), where
//
//   h(d) = d^2 / (2 beta) for |d| < beta, else |d| - beta / 2
//
// beta = 0 gives the absolute difference, of gradient 0 at 0. x (N, C), f32, f64 or bf16; target
// (N, C) and weights (N) of x's dtype, f32 for bf16; undefined weights are 1. normaliser > 0,
// beta >= 0. The result has target's dtype; it is 0 for N = 0. target and weights have no gradient:
// an Error when they need one.
Tensor smooth_l1(const Tensor& x, const Tensor& target, const Tensor& weights, double beta,
                 double normaliser);

}  // namespace rmt::ops
