// A tensor seen from one of its axes, as (outer, n, inner) with the axis in the middle. Internal to
// ops/.
#pragma once
#include "ops/kernels/expect.h"

namespace rmt {

struct Axis {
  int axis;  // from 0
  int64_t outer, n, inner;
};

// A negative axis counts from the end: -1 is the innermost.
inline Axis expect_axis(const char* op, const char* name, const Tensor& x, int axis) {
  expect_defined(op, name, x);
  const int rank = x.rank();
  CHECK(axis >= -rank && axis < rank, op, ": ", name, " ", x.shape(), " has no axis ", axis,
        ", expected one from ", -rank, " to ", rank - 1);
  Axis a{axis < 0 ? axis + rank : axis, 1, 1, 1};
  for (int i = 0; i < rank; ++i) (i < a.axis ? a.outer : i > a.axis ? a.inner : a.n) *= x.dim(i);
  return a;
}

}  // namespace rmt
