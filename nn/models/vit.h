// A vision transformer (Dosovitskiy et al., 2021; as DeiT, Touvron et al., 2021): an image becomes
// a row of patches, each attends to all others, and where a patch came from is known only by a
// vector that is learned for each position. Names are those of timm's deit_small_patch16_224.
#pragma once
#include "nn/models/patches.h"
#include "nn/models/registry.h"
#include "nn/models/transformer.h"

namespace rmt::nn {

struct VitConfig {
  std::string name;
  int64_t patch = 16;  // pixels along a side; 0: an eighth of the image
  int64_t channels = 0, blocks = 0, heads = 0;
  double mlp_ratio = 4;
  bool class_token = true;  // what the head sees; off: the mean over all patches
  double drop_path = 0;
};

inline VitConfig deit_s() {
  return {.name = "deit_s", .channels = 384, .blocks = 12, .heads = 6, .drop_path = 0.1};
}
// Our own, for small images and CPUs: 8 x 8 patches, whatever the image.
inline VitConfig vit_n() {
  return {
      .name = "vit_n", .patch = 0, .channels = 128, .blocks = 6, .heads = 4, .class_token = false};
}

// y = A v W_o^T + b_o with A = softmax(q k^T / sqrt D) for each head, over all tokens: Manhattan
// attention (nn/rmt/attention.h) without decay and rotation, along a map of one row.
struct SelfAttention : Module {
  int64_t heads;
  Linear &qkv, &proj;
  SelfAttention(int64_t C, int64_t heads_)
      : heads(heads_), qkv(add<Linear>("qkv", C, 3 * C)), proj(add<Linear>("proj", C, C)) {}
  Tensor forward(const Tensor& x);  // (B, L, C) -> same
};

struct Vit : Classifier {
  VitConfig config;
  int64_t img_size;
  bool recompute;
  Tensor* cls_token;  // (1, 1, C), or null
  Tensor& pos_embed;  // (1, L, C), L = patches and class token
  PatchEmbed& patch_embed;
  std::vector<TransformerBlock<SelfAttention>*> blocks;
  LayerNorm& norm;
  Linear& head;

  // Error for images that patches do not fill, and for ablations.
  Vit(const VitConfig& c, const ModelSettings& s);

  // images (B, S, S, 3) with S = img_size -> logits (B, K). Error for another size.
  Tensor forward(const Tensor& images) override;

 protected:
  void init_own(const std::function<Random()>& random) override;

 private:
  std::vector<TransformerBlock<SelfAttention>*> add_blocks();
};

}  // namespace rmt::nn
