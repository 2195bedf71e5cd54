// RoIAlign (He et al., "Mask R-CNN", 2017): what the maps of a pyramid hold inside of boxes, each
// box as a tile of P x P, without rounding of coordinates.
#pragma once
#include <vector>

#include "autograd/tape.h"

namespace rmt::ops {

// maps: for each level l, (B, H_l, W_l, C), f32, f64 or bf16; strides_l > 0: pixels of the image
// between neighbours on map l. rois (R, 5) of the maps' dtype, f32 for bf16: {image, x1, y1, x2,
// y2}, the image as a number in [0, B), the box in pixels -> (R, P, P, C) of the maps' dtype.
//
// A box is read from the level clamp(floor(log2(sqrt(w h) / 56 + 1e-6)), 0, levels - 1), w = x2 -
// x1, h = y2 - y1. There it begins at x1 / stride - 1/2, a cell having its middle at whole numbers.
// It is cut into P x P bins, and each is the mean of samples that are spread evenly over it,
// ceil(w / stride / P) along x and likewise along y, each of them between the four cells around it.
// A sample more than one cell outside of the map is 0. A box with x2 <= x1 or y2 <= y1 gives zeros.
// (torchvision's roi_align with aligned = True and sampling_ratio = 0.)
//
// The gradient goes to the maps; rois have none: an Error when they need one. On the CPU a box that
// is not finite, that has a coordinate beyond 2^20, or of an image that is not there, is an Error;
// on a GPU, which nobody waits for, it makes its tile nan, and adds nothing to the gradient.
Tensor roi_align(const std::vector<Tensor>& maps, const std::vector<int64_t>& strides,
                 const Tensor& rois, int64_t P);

}  // namespace rmt::ops
