// A map of twice the size, from a map whose pixels have the channels of four.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, 4 C) -> y (B, 2 H, 2 W, C), of f32, f64 or bf16: block 2 i + j of the channels of
// pixel (r, s) becomes pixel (2 r + i, 2 s + j), for i, j in {0, 1}. After a linear layer to 4 C
// channels this is a transposed convolution of 2 x 2 with stride 2. Throws Error unless the
// channels are a multiple of 4.
Tensor depth_to_space(const Tensor& x);

}  // namespace rmt::ops
