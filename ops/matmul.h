// Products of matrices, many at a time: what attention is made of.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a b for each pair of matrices: a (..., M, K), b (..., K, N) -> y (..., M, N), whose leading
// dimensions are equal; there may be none. With transpose_a, a is stored as (..., K, M), with
// transpose_b, b as (..., N, K). f32, f64; bf16 on a GPU, for both, summed in f32. Throws Error for
// shapes and dtypes that do not fit.
//
//   y           da          db
//   a b         dy b^T      a^T dy
//   a^T b       b dy^T      a dy
//   a b^T       dy b        dy^T a
//   a^T b^T     b^T dy^T    dy^T a^T
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

}  // namespace rmt::ops
