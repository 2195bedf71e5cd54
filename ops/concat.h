// Tensors become one, one after the other along an axis.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = the xs side by side along `axis`, a negative one counted from the end: of xs (..., n_i, ...)
// it is (..., sum_i n_i, ...). f32, f64 or bf16; y like the xs. Throws Error when there are none,
// when ranks, dtypes, devices or the other extents differ, and for an axis that is not there.
Tensor concat(const std::vector<Tensor>& xs, int axis);

}  // namespace rmt::ops
