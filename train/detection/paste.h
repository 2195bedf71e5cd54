// From the mask that a detector predicts, a small square over the box, to the pixels of the image.
#pragma once
#include <vector>

#include "train/detection/coco_eval.h"

namespace rmt::train {

// mask (S, S): probabilities, row by row, spread evenly over the box {x, y, w, h}. A pixel (X, Y)
// of the image, width x height, is 1 where the mask at its middle is at least the threshold, above
// 0:
//
//   u = (X + .5 - x) / w S - .5, v likewise, bilinear between the cells, 0 outside them
//
// What lies outside the image is left out. A box without area has no pixels. Error for a mask that
// is empty or no square, and for an image of more pixels than a mask may have.
data::RunLengths paste_mask(const std::vector<float>& mask, const CocoBox& box, int64_t width,
                            int64_t height, double threshold = 0.5);

}  // namespace rmt::train
