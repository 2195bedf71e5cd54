#include "nn/rmt/model.h"
#include "ops/mean_pool.h"
#include "ops/silu.h"

namespace rmt::nn {
namespace {

const RmtConfig& checked(const RmtConfig& c) {
  CHECK(c.num_classes >= 1, "model: ", c.num_classes, " classes; give at least 1");
  CHECK(c.drop_path >= 0 && c.drop_path < 1, "model: drop path ", c.drop_path, " is not in [0, 1)");
  for (size_t i = 0; i < 4; ++i)
    CHECK(c.dims[i] % c.heads[i] == 0, "model: ", c.dims[i], " channels of stage ", i + 1,
          " do not divide into ", c.heads[i], " heads");
  return c;
}

}  // namespace

Rmt::Rmt(const RmtConfig& c)
    : config(checked(c)),
      patch_embed(add<Stem>("patch_embed", c.dims[0], c.conv_stem)),
      stages([this] {
        std::vector<Stage*> out;
        int64_t total = 0, first = 0;
        for (int64_t depth : config.depths) total += depth;
        for (int i = 0; i < 4; first += config.depths[size_t(i++)])
          out.push_back(&add<Stage>(str("layers.", i), config, i, first, total));
        return out;
      }()),
      proj(c.projection ? &add<Linear>("proj", c.dims[3], c.projection) : nullptr),
      norm(add<BatchNorm>("norm", c.projection ? c.projection : c.dims[3])),
      head(add<Linear>("head", c.projection ? c.projection : c.dims[3], c.num_classes)) {}

Tensor Rmt::forward(const Tensor& images) {
  CHECK(images.rank() == 4 && images.dim(3) == 3, "model: images must be (B, H, W, 3), got ",
        images.shape());
  CHECK(images.dim(1) >= 32 && images.dim(2) >= 32, "model: images of ", images.dim(1), " x ",
        images.dim(2), " pixels are too small; 32 x 32 is the least");
  Tensor x = patch_embed.forward(images);  // (B, H/4, W/4, C1)
  for (Stage* stage : stages) x = stage->forward(x);
  x = norm.forward(proj ? proj->forward(x) : x);  // (B, H/32, W/32, P)
  return head.forward(ops::mean_pool(proj ? ops::silu(x) : x));
}

}  // namespace rmt::nn
