// Resizing with antialiasing, equal to the byte to Pillow's of versions 2.7 to 12 (13 sometimes
// takes the two axes in the other order).
#pragma once
#include "data/images/image.h"

namespace rmt::data {

// What a pixel between pixels is: a mean of its neighbours by a triangle, or by Keys's cubic.
enum class Resampling { bilinear, bicubic };

// A rectangle of pixels: columns [x, x + width), rows [y, y + height).
struct Crop {
  int64_t x = 0, y = 0, width = 0, height = 0;
  friend bool operator==(const Crop&, const Crop&) = default;
};

// Resizes the pixels of `box` (nothing outside it is looked at) to width x height, and writes only
// the part `window` of that result to out (window.height, window.width, 3). Equals
// Image.crop(box).resize((width, height), BICUBIC).crop(window) in Pillow, or that with BILINEAR.
void resize(const Image& image, const Crop& box, int64_t width, int64_t height, const Crop& window,
            uint8_t* out, Resampling resampling = Resampling::bicubic);
Image resize(const Image& image, const Crop& box, int64_t width, int64_t height);

}  // namespace rmt::data
