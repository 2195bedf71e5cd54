#include "nn/models/rmt_skeletons.h"

#include "nn/models/transformer.h"
#include "ops/mean_pool.h"

namespace rmt::nn {
namespace {

constexpr double kEps = 1e-6;
constexpr int64_t kVitPatch = 16, kSwinPatch = 4;

// Of the paper's appendix: a = 2 and b = 8 in every stage.
StageConfig stage(int64_t channels, int64_t blocks, int64_t heads, bool decomposed) {
  return {.channels = channels,
          .blocks = blocks,
          .heads = heads,
          .mlp_ratio = 4,
          .decay_range = 6,
          .decomposed = decomposed};
}

RmtConfig swin(const std::string& name, int64_t blocks, double drop_path) {
  return {.name = name,
          .stages = {stage(96, 2, 3, true), stage(192, 2, 6, true), stage(384, blocks, 12, true),
                     stage(768, 2, 24, false)},
          .drop_path = drop_path,
          .projection = 0};
}

// The config with what the settings say. What the skeletons do not have cannot be taken out.
RmtConfig on_skeleton(RmtConfig c, const ModelSettings& s) {
  c.position_conv = c.ffn_conv = c.conv_stem = true;
  c = configured(c, s);
  for (auto [there, flag] : {std::pair{&RmtConfig::position_conv, "--no-position-conv"},
                             {&RmtConfig::ffn_conv, "--no-ffn-conv"},
                             {&RmtConfig::conv_stem, "--no-conv-stem"}}) {
    CHECK(c.*there, flag, ": ", c.name, " has no such part; leave it out");
    c.*there = false;
  }
  CHECK(c.drop_path >= 0 && c.drop_path < 1, c.name, ": drop path ", c.drop_path,
        " is not in [0, 1)");
  return c;
}

Tensor run_blocks(const std::vector<Block*>& blocks, Tensor x, Position& position, bool recompute) {
  for (Block* block : blocks) {
    auto f = [block, &position](const Tensor& in) { return block->forward(in, position); };
    x = through(*block, f, x, recompute);
  }
  return x;
}

void expect_images_from(const std::string& model, const Tensor& x, int64_t patch) {
  expect_images(model, x);
  CHECK(x.dim(1) >= patch && x.dim(2) >= patch, model, ": images of ", x.dim(1), " x ", x.dim(2),
        " pixels are too small; ", patch, " x ", patch, " is the least");
}

}  // namespace

RmtConfig rmt_deit_s() {
  return {.name = "rmt_deit_s",
          .stages = {stage(384, 12, 6, false)},
          .drop_path = 0.1,
          .projection = 0};
}
RmtConfig rmt_swin_t() { return swin("rmt_swin_t", 6, 0.2); }
RmtConfig rmt_swin_s() { return swin("rmt_swin_s", 18, 0.3); }

RmtVit::RmtVit(const RmtConfig& c, const ModelSettings& s)
    : config(on_skeleton(c, s)),
      patch_embed(add<PatchEmbed>("patch_embed", c.stages[0].channels, kVitPatch)),
      position(add<Position>("Relpos", config.stages[0])),
      blocks([this] {
        std::vector<Block*> out;
        for (int64_t i = 0; i < config.blocks(); ++i)
          out.push_back(&add<Block>(str("blocks.", i), config, config.stages[0], i));
        return out;
      }()),
      norm(add<LayerNorm>("norm", c.stages[0].channels, kEps)),
      head(add<Linear>("head", c.stages[0].channels, config.num_classes)) {}

Tensor RmtVit::forward(const Tensor& images) {
  expect_images_from(config.name, images, kVitPatch);
  Tensor x = patch_embed.forward(images);  // (B, H/16, W/16, C)
  x = run_blocks(blocks, x, position, config.recompute);
  return head.forward(ops::mean_pool(norm.forward(x)));
}

RmtSwinStage::RmtSwinStage(const RmtConfig& c, size_t stage, int64_t first_block)
    : downsample(add_if<PatchMerging>(stage > 0, "downsample", c.stages[stage].channels / 2, kEps)),
      position(add<Position>("Relpos", c.stages[stage])) {
  for (int64_t i = 0; i < c.stages[stage].blocks; ++i)
    blocks.push_back(&add<Block>(str("blocks.", i), c, c.stages[stage], first_block + i));
}

Tensor RmtSwinStage::forward(const Tensor& x, bool recompute) {
  return run_blocks(blocks, downsample ? downsample->forward(x) : x, position, recompute);
}

RmtSwin::RmtSwin(const RmtConfig& c, const ModelSettings& s)
    : config(on_skeleton(c, s)),
      patch_embed(add<PatchEmbed>("patch_embed", c.stages[0].channels, kSwinPatch, kEps)),
      stages(add_stages()),
      norm(add<LayerNorm>("norm", c.stages[3].channels, kEps)),
      head(add<Linear>("head", c.stages[3].channels, config.num_classes)) {}

std::vector<RmtSwinStage*> RmtSwin::add_stages() {
  std::vector<RmtSwinStage*> out;
  int64_t first_block = 0;
  for (size_t i = 0; i < config.stages.size(); ++i) {
    out.push_back(&add<RmtSwinStage>(str("layers.", i), config, i, first_block));
    first_block += config.stages[i].blocks;
  }
  return out;
}

Tensor RmtSwin::forward(const Tensor& images) {
  expect_images_from(config.name, images, kSwinPatch);
  Tensor x = patch_embed.forward(images);  // (B, H/4, W/4, C)
  for (RmtSwinStage* stage : stages) x = stage->forward(x, config.recompute);
  return head.forward(ops::mean_pool(norm.forward(x)));
}

}  // namespace rmt::nn
