// The gradients of residual_add.cpp and layer_norm.cpp, for the op that is both. Internal to ops/.
#pragma once
#include "autograd/tape.h"

namespace rmt {

// Of y = x + s_b gamma_c f: dy -> dx, df, dgamma. Looks at once at which of them are needed.
Backward residual_add_gradients(const Tensor& f, const Tensor& gamma, const Tensor& s);

// Of y = layer_norm(x) with these means and rstds of the rows: (dy, more) -> dx + more, dw, dbias;
// more like x, or undefined: 0.
using LayerNormGradients = std::function<Grads(const Tensor& dy, const Tensor& more)>;
LayerNormGradients layer_norm_gradients(const Tensor& x, const Tensor& w, const Tensor& mean,
                                        const Tensor& rstd, bool needs_dx);

}  // namespace rmt
