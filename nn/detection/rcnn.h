// Two-stage detectors: Mask R-CNN (He et al., 2017) and its cascade (Cai and Vasconcelos, 2018).
// The first stage proposes boxes, the second looks at each: which class, where exactly, which
// pixels. In a cascade a third and a fourth look again, each at the boxes that the one before has
// moved, and each has learned with objects that fit more closely. Mask R-CNN is a cascade of one.
//
//   images --> pyramid --> levels --> RPN --> proposals
//                            |                    |
//                            +------ RoIAlign <---+--- moved boxes <--+
//                                       |                             |
//                                    box head --> classes, deltas ----+  (a cascade: three times)
//                                    mask head --> 28 x 28 for each class
#pragma once
#include "nn/detection/roi_head.h"
#include "nn/detection/rpn_head.h"
#include "nn/pyramid/fpn.h"

namespace rmt::nn {

// What two-stage detectors differ in.
struct RcnnOptions {
  RpnOptions rpn;
  std::vector<StageRule> stages;
  BoxHeadOptions head;
  bool masks = true;
};
RcnnOptions mask_rcnn_options(const DetectorOptions& o);
RcnnOptions cascade_options(const DetectorOptions& o);

// Names: bbox_head and mask_head, of a cascade bbox_head.0 and so on.
struct RoiHeads : Module {
  std::vector<BoxHead*> bbox_heads;
  std::vector<MaskHead*> mask_heads;  // none without masks
  RoiHeads(int64_t K, const RcnnOptions& o);
};

struct Rcnn : Detector {
  int64_t classes;
  DetectorOptions options;
  RcnnOptions rules;
  Pyramid& backbone;
  Fpn& neck;
  RpnHead& rpn_head;
  RoiHeads& roi_head;
  Rcnn(const RmtConfig& c, int64_t K, const DetectorOptions& o, const RcnnOptions& r);

  Losses losses(const Tensor& images, const std::vector<ImageSize>& sizes,
                const std::vector<GroundTruth>& truth) override;
  std::vector<std::vector<Detection>> detect(
      const Tensor& images, const std::vector<ImageSize>& sizes,
      const std::vector<std::array<double, 2>>& scales) override;
  bool has_masks() const override { return rules.masks; }

  // What the last losses() has sampled in each stage, for who wants to look.
  std::vector<RoiSample> sampled;

 private:
  // Of each image the choice of a sampler.
  std::vector<Choose> choices(size_t images, int64_t stage);
  void add_masks(const Maps& levels, const std::vector<std::array<double, 2>>& scales,
                 std::vector<std::vector<Detection>>& detections);
};

}  // namespace rmt::nn
