// The skeletons of DeiT and Swin with RMT's attention: embedding, number of blocks, channels, heads
// and head are theirs, the blocks are RMT's (nn/rmt/block.h) without the convolutions that neither
// has, CPE and that of the feed-forward network. The paper compares them with the originals to show
// what Manhattan attention alone brings. README.md says what it leaves open and how we read it.
#pragma once
#include "nn/models/patches.h"
#include "nn/models/registry.h"
#include "nn/rmt/block.h"

namespace rmt::nn {

// What the model is: of DeiT the first stage alone has blocks.
RmtConfig rmt_deit_s();
RmtConfig rmt_swin_t();
RmtConfig rmt_swin_s();

// DeiT with decay for a position embedding, and the mean over all tokens for the class token.
struct RmtVit : Classifier {
  RmtConfig config;
  PatchEmbed& patch_embed;
  Position& position;
  std::vector<Block*> blocks;
  LayerNorm& norm;
  Linear& head;

  // Error for ablations of parts that it does not have.
  RmtVit(const RmtConfig& c, const ModelSettings& s);

  // images (B, H, W, 3), H and W at least 16 -> logits (B, K)
  Tensor forward(const Tensor& images) override;
};

// A stage: patches are merged before its blocks, unless it is the first.
struct RmtSwinStage : Module {
  PatchMerging* downsample;  // or null
  Position& position;
  std::vector<Block*> blocks;
  RmtSwinStage(const RmtConfig& c, size_t stage, int64_t first_block);
  Tensor forward(const Tensor& x, bool recompute);
};

// Swin with decomposed Manhattan attention in place of windows, their shifts and their biases.
struct RmtSwin : Classifier {
  RmtConfig config;
  PatchEmbed& patch_embed;
  std::vector<RmtSwinStage*> stages;
  LayerNorm& norm;
  Linear& head;

  // Error for ablations of parts that it does not have.
  RmtSwin(const RmtConfig& c, const ModelSettings& s);

  // images (B, H, W, 3), H and W at least 4 -> logits (B, K)
  Tensor forward(const Tensor& images) override;

 private:
  std::vector<RmtSwinStage*> add_stages();
};

}  // namespace rmt::nn
