// Some rows of a matrix, by their numbers: of all anchors, those that a loss looks at.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y_i = x_(index_i). x (N, C), C > 0, f32, f64 or bf16; index (M) i64 in [0, N), in any order, with
// or without repetition -> y (M, C) of x's dtype. embedding.h is the same of a table of parameters,
// whose rows are few and read often; here the cost of the gradient grows with N + M as long as few
// rows are read twice.
//
// An index out of range is an Error on the CPU. On a GPU, where looking at the index would mean to
// wait for it, its row of y becomes nan, and it adds nothing to the gradient.
Tensor gather_rows(const Tensor& x, const Tensor& index);

}  // namespace rmt::ops
