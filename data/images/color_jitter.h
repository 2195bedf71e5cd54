// ColorJitter of torchvision as timm uses it where there is no RandAugment: brightness, contrast
// and saturation, each changed by a factor of its own, in an order of chance. The operations are
// those of pixel_ops.h, so all is equal to Pillow's to the byte. There is no hue.
#pragma once
#include <array>

#include "data/images/augment.h"

namespace rmt::data {

// Three steps with factors uniform in [1 - amount, 1 + amount], all 6 orders equally likely. amount
// in [0, 1]; timm's default is 0.4.
std::array<AugmentStep, 3> draw_jitter(double amount, Random& random);

}  // namespace rmt::data
