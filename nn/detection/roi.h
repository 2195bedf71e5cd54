// Regions of interest: the boxes that a second stage looks at, and what it learns from each.
#pragma once
#include "nn/detection/detector.h"
#include "nn/detection/sampler.h"
#include "nn/pyramid/pyramid.h"

namespace rmt::nn {

// Boxes of all images of a batch, one image behind the other.
struct Rois {
  std::vector<Box> boxes;
  std::vector<int64_t> images;  // the place of its image in the batch, for each
  void add(int64_t image, const Box& box) {
    images.push_back(image);
    boxes.push_back(box);
  }
  size_t size() const { return boxes.size(); }
};
Rois rois_of(const std::vector<std::vector<Box>>& of_images);

// The pyramid's maps of strides 4 ... 32 inside of the boxes (ops/roi_align.h): (R, side, side, C).
Tensor tiles(const Maps& levels, const Rois& rois, int64_t side);

// Proposals that a second stage learns from, of each image those with an object first.
struct RoiSample {
  Rois rois;
  std::vector<int64_t> objects;    // the object's index in its image, or kBackground
  std::vector<int64_t> labels;     // of the object; background: the number of classes
  std::vector<char> is_object;     // 1: the box is an object's own, which was among the proposals
  std::vector<int64_t> positives;  // indices of the boxes with an object
  Rois positive_rois() const;
};

// Of each image `count` of its objects' own boxes and its proposals, a quarter of them with an
// object where there are so many. choose: for each image.
RoiSample sample_rois(const std::vector<std::vector<Box>>& proposals,
                      const std::vector<GroundTruth>& truth, int64_t classes, const MatchRule& rule,
                      int64_t count, const std::vector<Choose>& choose);

// The masks that the boxes with an object are to have: (P, 28, 28) of 0 and 1, P positives. The
// object's mask inside of the box, by RoIAlign of a map as fine as the image, 1 from 1/2 on.
std::vector<double> mask_targets(const RoiSample& s, const std::vector<GroundTruth>& truth);

}  // namespace rmt::nn
