// RMT, a backbone for images (Fan et al., "RMT: Retentive Networks Meet Vision Transformers", CVPR
// 2024): stem, four stages, pooled head. nn/rmt/README.md is its chapter. Names, order and shapes
// of state() are those of the official state_dict.
#pragma once
#include "nn/classifier.h"
#include "nn/rmt/stage.h"

namespace rmt::nn {

// A token of the last map is a square of so many pixels a side.
constexpr int64_t kPixelsAToken = 32;

// What a model with a token head says of a batch: of the images, and of every token of the last map
// (H/32, W/32, sizes rounded up).
struct TokenLogits {
  Tensor image;   // (B, K)
  Tensor tokens;  // (B, h, w, K)
};

struct Rmt : Classifier {
  RmtConfig config;
  Stem& patch_embed;
  std::vector<Stage*> stages;
  Linear* proj;      // to `projection` channels per token, or null
  BatchNorm& norm;   // over the projected channels
  Linear& head;      // to the classes
  Linear* aux_head;  // the token head: to the classes, token by token; or null

  // Error for a config that makes no model.
  explicit Rmt(const RmtConfig& c);

  // images (B, H, W, 3), normalised, H and W at least 32 (any, odd too) -> logits (B, K). With a
  // token head they are those of the image plus half of the tokens' largest, class by class.
  Tensor forward(const Tensor& images) override;

  // Of a model with a token head, in training. With `mix` (6) f64 (ops/mix_images.h) the images of
  // the batch are mixed by MixToken: the box, counted in tokens of the last map, is exchanged
  // between image b and image B - 1 - b behind the stem, whose map is 8 times as fine, and the
  // logits of its tokens are exchanged back, so that every token is classified as what it shows.
  // H and W are multiples of 32 then.
  TokenLogits classify_tokens(const Tensor& images, const Tensor& mix = {});

  // The logits that `head` would give to each token by itself, as if it were the image: (B, H, W,
  // 3) -> (B, h, w, K). Their mean over the map is the image's logits in evaluation, because the
  // head is linear: what a teacher makes label maps of (data/labels/README.md).
  Tensor token_scores(const Tensor& images);

 private:
  // images -> the last stage's tokens (B, h, w, C4)
  Tensor tokens_of(const Tensor& images, const Tensor& mix);
  // (B, h, w, C4) -> the tokens that are pooled (B, h, w, P)
  Tensor project(const Tensor& tokens);
  TokenLogits classify(const Tensor& tokens);
  std::vector<Stage*> add_stages();
};

}  // namespace rmt::nn
