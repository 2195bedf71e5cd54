// Semantic segmentation: every pixel of an image gets a class. A segmenter is the backbone's
// pyramid of maps (nn/pyramid) and a head that makes one map of them, with a logit for each class.
// The chapter is nn/segmentation/README.md.
#pragma once
#include <memory>

#include "nn/pyramid/pyramid.h"

namespace rmt::nn {

// K classes for an image of (H, W) pixels, sizes rounded up. The logits of the pixels themselves
// are these, resized bilinearly.
struct SegmentationLogits {
  Tensor main;  // (B, H/4, W/4, K)
  Tensor aux;   // (B, H/16, W/16, K) of the auxiliary head in training; undefined where there is
                // none, and in evaluation
};

// What the auxiliary head's loss counts beside the main one.
constexpr double kAuxiliaryWeight = 0.4;

// The backbone's names begin with "backbone.", those of the heads are the official code's.
struct Segmenter : Module {
  Pyramid& backbone;
  int64_t num_classes;  // K

  Segmenter(const RmtConfig& c, int64_t classes)
      : backbone(add<Pyramid>("backbone", c)), num_classes(classes) {
    CHECK(classes >= 1, "segmenter: ", classes, " classes; give at least 1");
  }
  // images (B, H, W, 3), normalised, H and W at least 32
  virtual SegmentationLogits forward(const Tensor& images) = 0;

  // The names of the layers that have a row for each class: what fine-tuning makes anew where the
  // classes are others.
  virtual std::vector<std::string> class_layers() const { return {"decode_head.conv_seg"}; }
};

struct SegmenterOptions {
  // Of the maps between backbone and head. The head of Semantic FPN has half as many, UperNet twice
  // as many: 256 as published, 64 for small models.
  int64_t channels = 256;
  double dropout = 0.1;  // whole channels before the last layer
};

// The heads: "semantic_fpn" and "upernet".
std::vector<std::string> segmentation_heads();

// The config's num_classes, projection and token head are the classifier's and say nothing here.
// Error for another head, which lists these; for no class; for channels that are not even.
std::unique_ptr<Segmenter> make_segmenter(const std::string& head, const RmtConfig& backbone,
                                          int64_t classes, const SegmenterOptions& options = {});

}  // namespace rmt::nn
