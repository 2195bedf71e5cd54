#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x + s_b gamma_c f: one branch of a residual block.  x f (B, ..., C), gamma C elements
// (LayerScale) or undefined, s (B) (the factor of stochastic depth: 0 or 1 / keep; no gradient) or
// undefined.
Tensor residual_add(const Tensor& x, const Tensor& f, const Tensor& gamma = {},
                    const Tensor& s = {});

}  // namespace rmt::ops
