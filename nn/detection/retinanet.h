// RetinaNet (Lin et al., 2017): one stage. Every anchor is classified and moved, and of what comes
// out the best is shown. There are a thousand times as many anchors without an object as with one;
// the focal loss lets those that are easy count for little.
#pragma once
#include "nn/detection/anchor_targets.h"
#include "nn/detection/fills.h"
#include "nn/pyramid/conv_module.h"
#include "nn/pyramid/fpn.h"

namespace rmt::nn {

// The same convolutions for all levels; two branches that share nothing. Each is four 3x3
// convolutions with ReLU and a last one:
//   level (B, h, w, C) -> scores (B, h, w, 9 K), deltas (B, h, w, 36)
struct RetinaHead : Module {
  std::vector<ConvModule*> cls_convs, reg_convs;
  BiasedConv& retina_cls;
  Conv2d& retina_reg;
  RetinaHead(int64_t C, int64_t K, int64_t anchors);
  AnchorOutputs forward(const Maps& levels);

 private:
  std::vector<ConvModule*> add_branch(const std::string& name, int64_t C);
};

struct RetinaNet : Detector {
  int64_t classes;
  DetectorOptions options;
  AnchorRule rule;
  Pyramid& backbone;
  Fpn& neck;
  RetinaHead& bbox_head;
  RetinaNet(const RmtConfig& c, int64_t K, const DetectorOptions& o);

  // loss_cls, loss_bbox: sums over all anchors of the batch, divided by the number of anchors with
  // an object (of each image at least 1).
  Losses losses(const Tensor& images, const std::vector<ImageSize>& sizes,
                const std::vector<GroundTruth>& truth) override;
  std::vector<std::vector<Detection>> detect(
      const Tensor& images, const std::vector<ImageSize>& sizes,
      const std::vector<std::array<double, 2>>& scales) override;
};

}  // namespace rmt::nn
