// Random changes of a photograph's colours, the "photometric distortion" of SSD (Liu et al., 2016)
// as the published models of segmentation were trained with it, in 8 bits, equal to the byte to
// MMSegmentation's on OpenCV. Each step is taken with probability 1/2:
//
//   brightness  v + b                b in [-32, 32)
//   contrast    v c                  c in [0.5, 1.5), before the next two or after them
//   saturation  S s                  s in [0.5, 1.5), in HSV
//   hue         (H + h) mod 180      h in {-18, ..., 17}, in HSV
//
// Results are cut to [0, 255] and to whole numbers after every step.
#pragma once
#include <optional>

#include "data/images/draws.h"
#include "data/images/image.h"

namespace rmt::data {

struct PhotometricOptions {
  double brightness = 32;  // at most
  double contrast_min = 0.5, contrast_max = 1.5;
  double saturation_min = 0.5, saturation_max = 1.5;
  int64_t hue = 18;  // at most, in units of 2 degrees
};

// What is left to chance in one image; a step that is absent is not taken.
struct Photometric {
  std::optional<float> brightness, contrast, saturation;
  std::optional<int> hue;
  bool contrast_first = false;  // before saturation and hue
};

// In MMSegmentation's order of draws.
Photometric draw_photometric(const PhotometricOptions& options, Draws& draws);
void distort(Image& image, const Photometric& steps);

}  // namespace rmt::data
