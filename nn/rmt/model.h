// RMT (Fan et al., CVPR 2024): stem, four stages, pooled head. Names, order and shapes of state()
// are those of the official state_dict (RMT.md 1.4).
#pragma once
#include "nn/rmt/stage.h"

namespace rmt::nn {

struct Rmt : Module {
  RmtConfig config;
  Stem& patch_embed;
  std::vector<Stage*> stages;
  Linear* proj;  // to `projection` channels per token, or null
  BatchNorm& norm;
  Linear& head;

  explicit Rmt(const RmtConfig& c);

  // images (B, H, W, 3), normalised, H and W at least 32 (any, odd too) -> logits (B, K)
  Tensor forward(const Tensor& images);
};

}  // namespace rmt::nn
