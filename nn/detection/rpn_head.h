// The region proposal network (Ren et al., 2015): the first stage of two. It says of every anchor
// whether anything is there, of whatever class, and where; the best boxes, the proposals, are what
// a second stage looks at.
#pragma once
#include "nn/detection/anchor_targets.h"
#include "nn/detection/sampler.h"
#include "nn/pyramid/conv_module.h"

namespace rmt::nn {

struct RpnOptions {
  double anchor_scale = 8;
  double beta = 0;           // of the loss of boxes (ops/smooth_l1.h)
  bool only_inside = false;  // anchors that leave the image are not learned from
  int64_t proposals = 1000;  // of an image
};

// level (B, h, w, C) -> scores (B, h, w, 3), deltas (B, h, w, 12), by one 3x3 convolution with ReLU
// and two 1x1, the same for all levels.
struct RpnHead : Module {
  RpnOptions options;
  AnchorRule rule;
  Conv2d &rpn_conv, &rpn_cls, &rpn_reg;
  RpnHead(int64_t C, const RpnOptions& o);

  AnchorOutputs forward(const Maps& levels);

  // loss_rpn_cls, loss_rpn_bbox, of 256 anchors an image, at most half of them with an object.
  // choose: for each image.
  std::vector<std::pair<std::string, Tensor>> losses(const AnchorOutputs& out,
                                                     const std::vector<ImageSize>& sizes,
                                                     const std::vector<GroundTruth>& truth,
                                                     const std::vector<Choose>& choose);

  // Of each image the boxes with the highest scores, after suppression level by level, the best
  // first; of a level at most `most_of_level` come into it. Boxes are cut at the image's border.
  std::vector<std::vector<Box>> proposals(const AnchorOutputs& out,
                                          const std::vector<ImageSize>& sizes,
                                          int64_t most_of_level, int64_t most);
};

}  // namespace rmt::nn
