#include "nn/rmt/model.h"

#include "ops/add.h"
#include "ops/max_pool2d.h"
#include "ops/mean_pool.h"
#include "ops/mix_images.h"
#include "ops/scale.h"
#include "ops/silu.h"

namespace rmt::nn {
namespace {

const RmtConfig& checked(const RmtConfig& c) {
  CHECK(c.num_classes >= 1, "model: ", c.num_classes, " classes; give at least 1");
  CHECK(c.drop_path >= 0 && c.drop_path < 1, "model: drop path ", c.drop_path, " is not in [0, 1)");
  CHECK(c.retention_chunk >= 1, "model: chunks of ", c.retention_chunk,
        " tokens in retention; give at least 1");
  for (const StageConfig& s : c.stages)
    CHECK(s.channels % s.heads == 0, "model: ", s.channels, " channels of stage ",
          &s - c.stages.data() + 1, " do not divide into ", s.heads, " heads");
  return c;
}

// A token of the last map is a square of 8 x 8 pixels of the stem's.
constexpr int64_t kStemPixelsAToken = 8;

// Channels that are pooled.
int64_t features(const RmtConfig& c) { return c.projection ? c.projection : c.stages[3].channels; }

}  // namespace

Rmt::Rmt(const RmtConfig& c)
    : config(checked(c)),
      patch_embed(add<Stem>("patch_embed", c.stages[0].channels, c.conv_stem)),
      stages(add_stages()),
      proj(add_if<Linear>(c.projection > 0, "proj", c.stages[3].channels, c.projection)),
      norm(add<BatchNorm>("norm", features(c))),
      head(add<Linear>("head", features(c), c.num_classes)),
      aux_head(
          add_if<Linear>(c.token_head != TokenHead::none, "aux_head",
                         c.token_head == TokenHead::projected ? features(c) : c.stages[3].channels,
                         c.num_classes)) {}

std::vector<Stage*> Rmt::add_stages() {
  std::vector<Stage*> out;
  int64_t first_block = 0;
  for (size_t i = 0; i < config.stages.size(); ++i) {
    out.push_back(&add<Stage>(str("layers.", i), config, i, first_block));
    first_block += config.stages[i].blocks;
  }
  return out;
}

Tensor Rmt::tokens_of(const Tensor& images, const Tensor& mix) {
  CHECK(images.rank() == 4 && images.dim(3) == 3, "model: images must be (B, H, W, 3), got ",
        images.shape());
  CHECK(images.dim(1) >= 32 && images.dim(2) >= 32, "model: images of ", images.dim(1), " x ",
        images.dim(2), " pixels are too small; 32 x 32 is the least");
  Tensor x = patch_embed.forward(images);  // (B, H/4, W/4, C1)
  if (mix.defined()) x = ops::mix_images(x, mix, kStemPixelsAToken);
  for (Stage* stage : stages) x = stage->forward(x);
  return x;
}

// The first release had no projection, and no SiLU behind the norm.
Tensor Rmt::project(const Tensor& tokens) {
  if (!proj) return norm.forward(tokens);
  return ops::silu(norm.forward(proj->forward(tokens)));
}

TokenLogits Rmt::classify(const Tensor& tokens) {
  const Tensor x = project(tokens);
  TokenLogits logits{head.forward(ops::mean_pool(x)), {}};
  if (aux_head)
    logits.tokens = aux_head->forward(config.token_head == TokenHead::projected ? x : tokens);
  return logits;
}

Tensor Rmt::forward(const Tensor& images) {
  const TokenLogits logits = classify(tokens_of(images, {}));
  if (!aux_head) return logits.image;
  return ops::add(logits.image, ops::scale(ops::max_pool(logits.tokens), 0.5));
}

TokenLogits Rmt::classify_tokens(const Tensor& images, const Tensor& mix) {
  CHECK(aux_head, config.name, ": has no token head, which token labels need");
  CHECK(
      !mix.defined() || (images.rank() == 4 && images.dim(1) % 32 == 0 && images.dim(2) % 32 == 0),
      "model: MixToken exchanges whole tokens of 32 x 32 pixels, and images are ", images.shape(),
      "; give sides that are multiples of 32");
  TokenLogits logits = classify(tokens_of(images, mix));
  if (mix.defined()) logits.tokens = ops::mix_images(logits.tokens, mix);
  return logits;
}

Tensor Rmt::token_scores(const Tensor& images) {
  return head.forward(project(tokens_of(images, {})));
}

}  // namespace rmt::nn
