// RandomErasing (Zhong et al., 2017) as timm does it for the ImageNet recipe: one rectangle of
// normal noise, pixel by pixel, after normalisation. Here the rectangle is drawn, with a key:
// ops::normalize fills it, the noise being a function of key and pixel (normals() of
// core/random.h) and so the same on either device.
#pragma once
#include <optional>

#include "core/random.h"
#include "data/images/resize.h"

namespace rmt::data {

struct RandomErasing {
  double probability = 0;
  double area_min = 0.02, area_max = 1. / 3;       // the rectangle's share of the image, uniform
  double aspect_min = 0.3, aspect_max = 1. / 0.3;  // its height / width, log-uniform
};

// What is done to one image.
struct Erasing {
  Crop box;
  uint64_t key;  // of its noise
};

// Nothing with probability 1 - p, and where none of 10 rectangles is smaller than the image in both
// directions.
std::optional<Erasing> draw_erasing(const RandomErasing& erasing, int64_t width, int64_t height,
                                    Random& random);

}  // namespace rmt::data
