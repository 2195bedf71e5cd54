#include "nn/models/vit.h"

#include "ops/add.h"
#include "ops/mean_pool.h"
#include "ops/slice.h"

namespace rmt::nn {
namespace {

VitConfig checked(VitConfig c, const ModelSettings& s) {
  s.expect_no_ablation(c.name);
  if (c.patch == 0) c.patch = std::max<int64_t>(1, s.img_size / 8);
  CHECK(c.blocks >= 1 && c.heads >= 1 && c.channels % c.heads == 0, c.name, ": ", c.channels,
        " channels do not divide into ", c.heads, " heads, or there are no blocks");
  if (s.drop_path >= 0) c.drop_path = s.drop_path;
  return c;
}

int64_t tokens(const VitConfig& c, int64_t S) {
  const int64_t side = patches_along(c.name, S, c.patch);
  return side * side + (c.class_token ? 1 : 0);
}

constexpr double kEps = 1e-6;

}  // namespace

Tensor SelfAttention::forward(const Tensor& x) {
  const int64_t B = x.dim(0), L = x.dim(1), C = x.dim(2);
  const Tensor all = qkv.forward(x);  // (B, L, 3 C)
  auto part = [&](int64_t i) {
    return ops::view(ops::slice(all, 2, i * C, (i + 1) * C), {B, 1, L, C});
  };
  const Tensor y =
      ops::manhattan_attention(part(0), part(1), part(2), {}, {}, {heads, ops::Axis::W});
  return proj.forward(ops::view(y, {B, L, C}));
}

Vit::Vit(const VitConfig& c, const ModelSettings& s)
    : config(checked(c, s)),
      img_size(s.img_size),
      recompute(s.recompute),
      cls_token(c.class_token ? &parameter("cls_token", {1, 1, c.channels}) : nullptr),
      pos_embed(parameter("pos_embed", {1, tokens(config, s.img_size), c.channels})),
      patch_embed(add<PatchEmbed>("patch_embed", c.channels, config.patch)),
      blocks(add_blocks()),
      norm(add<LayerNorm>("norm", c.channels, kEps)),
      head(add<Linear>("head", c.channels, s.num_classes)) {}

std::vector<TransformerBlock<SelfAttention>*> Vit::add_blocks() {
  std::vector<TransformerBlock<SelfAttention>*> out;
  for (int64_t i = 0; i < config.blocks; ++i) {
    const BlockOptions o{config.channels, config.heads, config.mlp_ratio, kEps, config.drop_path, i,
                         config.blocks};
    out.push_back(&add<TransformerBlock<SelfAttention>>(str("blocks.", i), o));
  }
  return out;
}

Tensor Vit::forward(const Tensor& images) {
  expect_images_of(config.name, images, img_size);
  const int64_t B = images.dim(0), C = config.channels;
  Tensor x = ops::view(patch_embed.forward(images), {B, -1, C});
  if (cls_token) {  // the same for every image
    const Tensor zeros = Tensor::zeros({B, 1, C}, x.dtype(), x.device());
    x = ops::concat({ops::add(zeros, *cls_token), x}, 1);
  }
  x = through(blocks, ops::add(x, pos_embed), recompute);  // (B, L, C)
  if (cls_token) return head.forward(norm.forward(ops::view(ops::slice(x, 1, 0, 1), {B, C})));
  return head.forward(ops::mean_pool(ops::view(norm.forward(x), {B, 1, -1, C})));
}

void Vit::init_own(const std::function<Random()>& random) {
  if (cls_token) fill_normal(*cls_token, random(), 0.02);
  fill_normal(pos_embed, random(), 0.02);
}

}  // namespace rmt::nn
