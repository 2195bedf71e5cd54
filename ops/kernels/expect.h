// The check that most arguments of most ops need: expect("layer_norm", "w", w, {C}, x.dtype()).
#pragma once
#include "core/tensor.h"

namespace rmt {

inline void expect_defined(const char* op, const char* name, const Tensor& x) {
  CHECK(x.defined(), op, ": ", name, " is undefined");
}

inline void expect(const char* op, const char* name, const Tensor& x, const Shape& shape,
                   DType dtype) {
  expect_defined(op, name, x);
  CHECK(x.shape() == shape && x.dtype() == dtype, op, ": ", name, " is ", x.dtype(), " ", x.shape(),
        ", expected ", dtype, " ", shape);
}

// The extent of the last dimension of x (..., C), C > 0.
inline int64_t expect_columns(const char* op, const char* name, const Tensor& x) {
  expect_defined(op, name, x);
  CHECK(x.rank() >= 1 && x.shape()[-1] > 0, op, ": ", name, " is ", x.shape(),
        ", expected (..., C) with C > 0");
  return x.shape()[-1];
}

}  // namespace rmt
