// Addition, number by number.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = a + b. a and b may differ in shape: they broadcast as in NumPy. Shapes are aligned at their
// ends, extents are equal or 1, missing ones count as 1, and what has extent 1 is repeated; its
// gradient is the sum over the repetitions. (B, L, C) goes with (L, C), (1, L, 1), (C) and (). y
// has the shape that both have together. f32, f64 or bf16. Of bf16 with f32, the f32 operand is a
// parameter: y is bf16, and the parameter's gradient f32. Else dtypes must be equal. Throws Error
// for shapes, dtypes and devices that do not fit.
Tensor add(const Tensor& a, const Tensor& b);

}  // namespace rmt::ops
