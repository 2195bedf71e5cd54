// What the programs train and evaluate as detectors: from images to boxes with classes, perhaps
// with masks. nn/detection/README.md is the chapter.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/detection/box.h"
#include "nn/module.h"
#include "nn/rmt/config.h"

namespace rmt::nn {

// Of an image inside its batch, whose images are padded with zeros at the right and at the bottom.
struct ImageSize {
  int64_t height = 0, width = 0;
};
inline Box clip(const Box& b, const ImageSize& s) {
  return clip(b, double(s.width), double(s.height));
}

// The objects of one image, in pixels of the batch's image.
struct GroundTruth {
  std::vector<Box> boxes;
  std::vector<int64_t> labels;  // 0 ... classes - 1, one for each box
  Tensor masks;                 // (boxes, H, W) u8 of 0 and 1, padded as the batch; or undefined
};

// The parts have the official logged names: loss_rpn_cls, loss_rpn_bbox, loss_cls, loss_bbox,
// loss_mask, acc; of a cascade's stages s0.loss_cls and so on. Each is a scalar () on the model's
// device. `total` is the sum of those that are called a loss.
struct Losses {
  std::vector<std::pair<std::string, Tensor>> parts;
  Tensor total;
};

struct Detection {
  Box box;                  // in pixels of the original image
  double score = 0;         // a probability
  int64_t label = 0;        // 0 ... classes - 1
  std::vector<float> mask;  // (28, 28) probabilities over the box; empty without masks
};

// Sides of the masks that detectors predict.
constexpr int64_t kMaskSide = 28;

struct DetectorOptions {
  int64_t fpn_channels = 256;  // of the pyramid's levels and of the heads' convolutions
  int64_t fc_channels = 1024;  // of the fully connected layers behind RoIAlign
  // Side of an anchor over the stride of its level, for the smallest of a level. 0: the official
  // one, 8 for proposals and 4 for RetinaNet. Datasets of small objects want less.
  double anchor_scale = 0;
  int64_t box_samples = 512;  // boxes of an image that a second stage learns from
  int64_t proposals = 0;      // boxes of an image that go into it; 0: the official number
  double score_threshold = .05, nms_threshold = .5;
  int64_t most_detections = 100;  // of an image
  // For tests: which k of n candidates a sampler takes, ascending. Null: at random, by the Mode's
  // seed and step and by the image's place in the batch.
  std::function<std::vector<int64_t>(int64_t n, int64_t k)> choose = nullptr;
};

struct Detector : Module {
  // images (B, H, W, 3), normalised; a size and the objects for each -> the losses of training.
  // Images without objects are allowed: all in them is background. Error where lists are of unlike
  // lengths, where a box has no area, where a label is none of the classes, and where masks are
  // missing.
  virtual Losses losses(const Tensor& images, const std::vector<ImageSize>& sizes,
                        const std::vector<GroundTruth>& truth) = 0;
  // -> of each image the detections, the best first. scales: pixels of the batch's image per pixel
  // of the original, in x and in y. Nothing is recorded on the tape.
  virtual std::vector<std::vector<Detection>> detect(
      const Tensor& images, const std::vector<ImageSize>& sizes,
      const std::vector<std::array<double, 2>>& scales) = 0;
  virtual bool has_masks() const { return false; }
};

// "retinanet", "faster_rcnn", "mask_rcnn" or "cascade_mask_rcnn" over the backbone; parameters are
// not initialised. Error for another name, listing these.
std::unique_ptr<Detector> make_detector(const std::string& name, const RmtConfig& backbone,
                                        int64_t classes, const DetectorOptions& options = {});
std::vector<std::string> detector_names();
void expect_detector(const std::string& name);  // that Error alone

}  // namespace rmt::nn
