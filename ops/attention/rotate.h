// The rotation of queries and keys by their positions, by itself: manhattan_attention applies it
// inside, other forms of attention call this. (ops/attention/README.md, "Rotation".)
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// Each pair of channels x0, x1 of each head, turned by the angle a of its position:
//   y0 = x0 cos a - x1 sin a,   y1 = x1 cos a + x0 sin a.
// x (B, H, W, C), f32, f64 or bf16; y like x. rotary (H W, D) from rotary_table (rotary.h), D even,
// C = N D for N heads; f32 where x is bf16; it has no gradient. An Error for other shapes or types.
Tensor rotate(const Tensor& x, const Tensor& rotary);

}  // namespace rmt::ops
