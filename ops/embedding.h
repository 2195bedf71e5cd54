// A table of vectors, looked up by number: tokens, positions, classes. gather_rows.h is the
// same for activations.
#pragma once
#include <optional>

#include "autograd/tape.h"

namespace rmt::ops {

// y_i = row indices_i of the table, for each index: table (V, C), C > 0, f32 or f64, and indices of
// any shape, i64 -> (indices..., C) of the table's dtype, or of `dtype`: on a GPU a table in f32
// may give bf16. Throws Error for shapes and dtypes that do not fit.
//
// An index outside [0, V) is an Error on the CPU. On a GPU, where looking at the indices would mean
// to wait for them, its row of y becomes nan, and it adds nothing to the gradient.
Tensor embedding(const Tensor& table, const Tensor& indices, std::optional<DType> dtype = {});

}  // namespace rmt::ops
