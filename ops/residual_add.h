// One branch of a residual block joins its trunk.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = x + s_b gamma_c f. x f (B, ..., C), f32, f64 or bf16; gamma (LayerScale) C elements in any
// shape, or undefined: 1; s (B) (stochastic depth: 0 or 1 / keep, see drop_path.h), or undefined:
// 1. gamma and s are of x's dtype, but f32 for bf16. No gradient for s: an Error when it needs one.
Tensor residual_add(const Tensor& x, const Tensor& f, const Tensor& gamma = {},
                    const Tensor& s = {});

}  // namespace rmt::ops
