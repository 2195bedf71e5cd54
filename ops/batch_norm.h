#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// Training: y = (x - mean_c) / sqrt(var_c + eps) * w_c + bias_c with mean and biased variance over
// B, H, W; running_mean and running_var (both or neither) move by `momentum` towards mean and
// unbiased variance.  Evaluation: the running statistics instead.  x (..., C).
struct BatchNormOptions {
  bool training = true;
  double eps = 1e-5, momentum = 0.1;
};
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options);

}  // namespace rmt::ops
