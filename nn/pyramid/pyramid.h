// RMT as a backbone: the maps of its four stages, each twice as coarse as the one before. What
// finds things in an image (nn/segmentation, nn/detection) reads all of them, the fine ones for
// where and the coarse ones for what.
#pragma once
#include <array>

#include "nn/rmt/stage.h"

namespace rmt::nn {

// Maps (B, H/s, W/s, C) of one batch, sizes rounded up, s = 4, 8, 16, 32.
using Maps = std::vector<Tensor>;

// The names are the classifier's (nn/rmt/model.h) without proj, norm and head, and
// extra_norms.0 ... 3, a layer norm behind each stage.
struct Pyramid : Module {
  RmtConfig config;
  Stem& patch_embed;
  std::vector<Stage*> stages;
  std::vector<LayerNorm*> extra_norms;

  explicit Pyramid(const RmtConfig& c);

  // images (B, H, W, 3), normalised, H and W at least 32 -> four maps, of what leaves the blocks of
  // a stage, before it is made coarser, normalised:
  //   y_s = LayerNorm_s(stage_s(x_s)),   x_(s+1) = downsample_s(stage_s(x_s))
  Maps forward(const Tensor& images);

  int64_t channels(size_t stage) const { return config.stages[stage].channels; }
  std::vector<int64_t> channels() const {
    const auto all = per_stage(config, &StageConfig::channels);
    return {all.begin(), all.end()};
  }
};

}  // namespace rmt::nn
