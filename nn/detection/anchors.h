// Anchors: boxes that lie where the pixels of the pyramid's maps lie, of a few sizes and shapes
// each. A network does not say where a thing is; it says which anchors are near one, and by how
// much they are off.
#pragma once
#include <vector>

#include "nn/detection/box.h"

namespace rmt::nn {

// Of a pixel of a level with stride s: for each of the ratios height / width 1/2, 1, 2 (outer) and
// each scale q (inner) a box of width s q / sqrt(ratio) and height s q sqrt(ratio).
struct AnchorRule {
  std::vector<double> scales;
  std::vector<int64_t> strides;  // of the levels, pixels of the image to one of the map
  int64_t per_pixel() const { return 3 * int64_t(scales.size()); }
};

AnchorRule anchors_of_proposals(double scale);  // one scale, strides 4 ... 64
// scale, 2^(1/3) scale, 2^(2/3) scale, strides 8 ... 128
AnchorRule anchors_of_retinanet(double scale);

// The anchors of a level of h x w pixels in the order of its map (h, w, per_pixel): those of pixel
// (y, x) lie around (x s, y s).
std::vector<Box> anchors_of_level(const AnchorRule& rule, size_t level, int64_t h, int64_t w);

// Marks the anchors of a level (h, w, per_pixel) that belong to an image of that size. The batch
// pads images to a common size; anchors of pixels that only the padding beyond the next multiple of
// 32 has are left out.
std::vector<char> valid_anchors(const AnchorRule& rule, size_t level, int64_t h, int64_t w,
                                int64_t image_height, int64_t image_width);

}  // namespace rmt::nn
