// What residual_add.cpp and layer_norm.cpp put on the tape, for the op that computes their results together. Internal to ops/.
#pragma once
#include "autograd/tape.h"

namespace rmt {

// y, which is x + s_b gamma_c f.
Tensor record_residual_add(const Tensor& y, const Tensor& x, const Tensor& f, const Tensor& gamma, const Tensor& s);
// y, which is layer_norm(x) with these means and rstds of the rows.
Tensor record_layer_norm(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& mean, const Tensor& rstd);

}  // namespace rmt
