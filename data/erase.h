// RandomErasing (Zhong et al., 2017) as timm does it for the ImageNet recipe: one rectangle of normal noise, pixel by pixel, after normalisation.
#pragma once
#include <optional>

#include "core/random.h"
#include "data/resize.h"

namespace rmt {

struct RandomErasing {
  double probability = 0;
  double area_min = 0.02, area_max = 1. / 3;       // the rectangle's share of the image, uniform
  double aspect_min = 0.3, aspect_max = 1. / 0.3;  // its height / width, log-uniform
};

// The rectangle of one image; nothing with probability 1 - p, and where none of 10 draws is smaller than the image in both directions.
std::optional<Crop> draw_erasing(const RandomErasing& erasing, int64_t width, int64_t height, Random& random);

// image (height, width, 3), normalised: the drawn rectangle becomes noise of mean 0 and variance 1.
void erase(const RandomErasing& erasing, float* image, int64_t width, int64_t height, Random& random);

}  // namespace rmt
