#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// Mixup and CutMix: y_b = x_b' inside the box, lambda x_b + (1 - lambda) x_b' elsewhere, b' = B - 1
// - b.  x (B, H, W, C), B even; mix (6) f64 {lambda of images, lambda of targets, x, y, width,
// height of the box}, on x's device; lambda = 1 and an empty box: y = x.
Tensor mix_images(const Tensor& x, const Tensor& mix);

}  // namespace rmt::ops
