#include "nn/rmt/model.h"

#include "ops/mean_pool.h"
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

// Channels that are pooled.
int64_t features(const RmtConfig& c) { return c.projection ? c.projection : c.stages[3].channels; }

}  // namespace

Rmt::Rmt(const RmtConfig& c)
    : config(checked(c)),
      patch_embed(add<Stem>("patch_embed", c.stages[0].channels, c.conv_stem)),
      stages(add_stages()),
      proj(add_if<Linear>(c.projection > 0, "proj", c.stages[3].channels, c.projection)),
      norm(add<BatchNorm>("norm", features(c))),
      head(add<Linear>("head", features(c), c.num_classes)) {}

std::vector<Stage*> Rmt::add_stages() {
  std::vector<Stage*> out;
  int64_t first_block = 0;
  for (size_t i = 0; i < config.stages.size(); ++i) {
    out.push_back(&add<Stage>(str("layers.", i), config, i, first_block));
    first_block += config.stages[i].blocks;
  }
  return out;
}

Tensor Rmt::forward(const Tensor& images) {
  CHECK(images.rank() == 4 && images.dim(3) == 3, "model: images must be (B, H, W, 3), got ",
        images.shape());
  CHECK(images.dim(1) >= 32 && images.dim(2) >= 32, "model: images of ", images.dim(1), " x ",
        images.dim(2), " pixels are too small; 32 x 32 is the least");
  Tensor x = patch_embed.forward(images);  // (B, H/4, W/4, C1)
  for (Stage* stage : stages) x = stage->forward(x);
  if (!proj) return head.forward(ops::mean_pool(norm.forward(x)));  // the first release's head
  x = ops::silu(norm.forward(proj->forward(x)));                    // (B, H/32, W/32, P)
  return head.forward(ops::mean_pool(x));
}

}  // namespace rmt::nn
