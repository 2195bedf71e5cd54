// Batch normalisation: each channel gets mean 0 and variance 1 over all positions of the batch,
// then a scale and a shift that are learned.
#pragma once
#include "autograd/tape.h"
#include "core/processes/processes.h"

namespace rmt::ops {

struct BatchNormOptions {
  bool training = true;
  double eps = 1e-5, momentum = 0.1;
  Processes* processes = nullptr;  // in training: whose rows count as one batch; null: alone
  // In training: what conv2d left beside x (conv2d.h); undefined: the op goes through x for it.
  Tensor moments = {};
};

// y = (x - mean_c) / sqrt(var_c + eps) * w_c + bias_c.
//
// Training: mean and biased variance of the M = B H W rows of x, M > 1 or an Error. running_mean
// and running_var (both or neither) move: r <- (1 - momentum) r + momentum m, with m the mean and
// the unbiased variance of this batch. Evaluation: the running statistics instead, which stay.
//
// Synchronised (training with `processes`, which must outlive the backward pass): x is this
// process's part of a batch, M counts the rows of all parts, and the mean and variance are theirs.
// y and dx are what the op on the whole batch gives for this part; dw and dbias are this part's
// sums, which over all processes add up to the gradient. Every process calls with as many columns
// and at least one row, and walks back if any does.
//
// x (..., C), f32, f64 or bf16; the others (C), of x's dtype, but f32 for bf16; y like x.
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options);

// What batch_norm takes beside x, for an op that contains one.
struct BatchNormInputs {
  Tensor w, bias, running_mean, running_var;
  BatchNormOptions options;
};

}  // namespace rmt::ops
