// The things that an image shows, each with its box, its class and perhaps its mask.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data/masks/bitmap.h"

namespace rmt::data {

// Corners in pixels, (0, 0) the image's upper left corner: {x1, y1, x2, y2}.
using Corners = std::array<float, 4>;

struct Objects {
  std::vector<Corners> boxes;
  std::vector<int64_t> labels;  // one for each box
  std::vector<Bitmap> masks;    // one for each box, of the image's size; or none at all
  std::vector<Corners> crowds;  // regions of many things of a kind: neither learned nor counted
};

}  // namespace rmt::data
