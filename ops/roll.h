// A cyclic shift along one axis: what leaves at one end comes in at the other.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y[i] = x[(i - shift) mod n] along an axis of n elements, a negative axis counted from the end. A
// positive shift moves towards larger i; any shift is allowed. x of any rank but 0, f32, f64 or
// bf16; y like x. Throws Error for an axis that is not there. One along H and one along W shift the
// windows of a map.
Tensor roll(const Tensor& x, int axis, int64_t shift);

}  // namespace rmt::ops
