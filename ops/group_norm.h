// Group normalisation (Wu and He, 2018): the channels of a sample in groups, each with mean 0 and
// variance 1 over all positions of the sample, then a scale and a shift a channel. It does not
// depend on the other samples of the batch.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and biased variance of each sample
// and each group over all positions and the C / groups neighbouring channels of the group, as
// PyTorch's GroupNorm. x (B, ..., C), f32, f64 or bf16, with C and the positions > 0; weight and
// bias (C) of x's dtype, but f32 for bf16, or undefined: 1 and 0; y like x. An Error when groups do
// not divide C, or weight or bias have another shape or dtype.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);

}  // namespace rmt::ops
