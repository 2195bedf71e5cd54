// Mixup and CutMix: the first image of a batch is mixed with the last, the second with the last but
// one, and so on.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// y_b = x_b' inside the box, lambda x_b + (1 - lambda) x_b' elsewhere, with b' = B - 1 - b. x (B,
// H, W, C), B even or an Error, f32, f64 or bf16; y like x. mix (6) f64, on x's device: {lambda of
// the images, lambda of the targets, x, y, width, height of the box}. lambda = 1 and an empty box
// give y = x. Mixup has an empty box; CutMix has lambda = 1 for the images. x, y, width and height
// count squares of unit x unit pixels, unit > 0 or an Error: so a box that was drawn on a coarse
// map is exchanged on one that is `unit` times as fine.
Tensor mix_images(const Tensor& x, const Tensor& mix, int64_t unit = 1);

}  // namespace rmt::ops
