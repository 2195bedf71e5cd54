// A line: every number times one number, plus another.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y = factor x + shift. x of any shape, f32, f64 or bf16; y like x. factor and shift are constants:
// they have no gradient, and a training step that is recorded repeats them as they are.
Tensor scale(const Tensor& x, double factor, double shift = 0);

}  // namespace rmt::ops
