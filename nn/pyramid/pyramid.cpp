#include "nn/pyramid/pyramid.h"

namespace rmt::nn {

Pyramid::Pyramid(const RmtConfig& c)
    : config(c), patch_embed(add<Stem>("patch_embed", c.stages[0].channels, c.conv_stem)) {
  int64_t first_block = 0;
  for (size_t i = 0; i < c.stages.size(); ++i) {
    stages.push_back(&add<Stage>(str("layers.", i), c, i, first_block));
    first_block += c.stages[i].blocks;
  }
  for (size_t i = 0; i < c.stages.size(); ++i)
    extra_norms.push_back(&add<LayerNorm>(str("extra_norms.", i), c.stages[i].channels, 1e-5));
}

Maps Pyramid::forward(const Tensor& images) {
  CHECK(images.rank() == 4 && images.dim(3) == 3, "pyramid: images must be (B, H, W, 3), got ",
        images.shape());
  CHECK(images.dim(1) >= 32 && images.dim(2) >= 32, "pyramid: images of ", images.dim(1), " x ",
        images.dim(2), " pixels are too small; 32 x 32 is the least");
  Maps maps;
  Tensor x = patch_embed.forward(images);  // (B, H/4, W/4, C1)
  for (size_t i = 0; i < stages.size(); ++i) {
    const Tensor y = stages[i]->forward_of_blocks(x);
    maps.push_back(extra_norms[i]->forward(y));
    if (Downsample* down = stages[i]->downsample) x = down->forward(y);
  }
  return maps;
}

}  // namespace rmt::nn
