// RMT, a backbone for images (Fan et al., "RMT: Retentive Networks Meet Vision Transformers", CVPR
// 2024): stem, four stages, pooled head. nn/rmt/README.md is its chapter. Names, order and shapes
// of state() are those of the official state_dict.
#pragma once
#include "nn/classifier.h"
#include "nn/rmt/stage.h"

namespace rmt::nn {

struct Rmt : Classifier {
  RmtConfig config;
  Stem& patch_embed;
  std::vector<Stage*> stages;
  Linear* proj;     // to `projection` channels per token, or null
  BatchNorm& norm;  // over the projected channels
  Linear& head;     // to the classes

  // Error for a config that makes no model.
  explicit Rmt(const RmtConfig& c);

  // images (B, H, W, 3), normalised, H and W at least 32 (any, odd too) -> logits (B, K)
  Tensor forward(const Tensor& images) override;

 private:
  std::vector<Stage*> add_stages();
};

}  // namespace rmt::nn
