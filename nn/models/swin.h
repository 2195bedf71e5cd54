// Swin (Liu et al., "Swin Transformer", 2021): tokens attend within windows of 7 x 7, so that the
// cost grows with the number of tokens and not with its square. In every other block the windows
// are shifted by half of their side, which lets neighbours in different windows meet. Names are
// those of timm's swin_tiny_patch4_window7_224.
#pragma once
#include <array>

#include "nn/models/patches.h"
#include "nn/models/registry.h"
#include "nn/models/transformer.h"

namespace rmt::nn {

struct SwinConfig {
  std::string name;
  int64_t channels = 96;  // of the first stage; each later one has twice as many
  std::array<int64_t, 4> blocks{}, heads{};
  int64_t window = 7;
  double drop_path = 0;
};

inline SwinConfig swin_t() {
  return {.name = "swin_t", .blocks = {2, 2, 6, 2}, .heads = {3, 6, 12, 24}, .drop_path = 0.2};
}
inline SwinConfig swin_s() {
  return {.name = "swin_s", .blocks = {2, 2, 18, 2}, .heads = {3, 6, 12, 24}, .drop_path = 0.3};
}

// How a map of side x side is cut into windows: `count` along each side, of w x w tokens, the last
// ones filled up with zeros. With a shift, the map is rolled by it towards the first row and column
// before, and back afterwards; tokens that only the roll made neighbours must not see each other.
struct Windows {
  int64_t side, w, shift;
  // A map that is no larger than a window is one window, which there is no point in shifting.
  Windows(int64_t side_, int64_t window, bool shifted)
      : side(side_), w(std::min(window, side)), shift(shifted && side > window ? window / 2 : 0) {}
  int64_t count() const { return (side + w - 1) / w; }

  Tensor cut(const Tensor& map) const;     // (B, side, side, C) -> (B count^2, w^2, C)
  Tensor join(const Tensor& parts) const;  // and back
  // (w^2 w^2) i64: for a pair of a window's tokens, which of the (2 w - 1)^2 offsets from one to
  // the other it has.
  Tensor offsets() const;
  // (count^2, 1, w^2, w^2) f32: 0 for pairs that see each other and -100 for others, whose weight
  // after softmax is e^-100; undefined where all do.
  Tensor mask() const;
};

// A tensor that never changes and is in no file, in copies where the model needs it. They stay
// where they are, because a recorded GPU graph goes on reading them there.
class Constant {
  std::vector<Tensor> copies_;

 public:
  explicit Constant(const Tensor& x) : copies_{x} {}
  bool defined() const { return copies_[0].defined(); }
  const Tensor& in(DType dtype, Device device);
};

// y = A v W_o^T + b_o with A = softmax(q k^T / sqrt D + bias + mask) for each head within each
// window, where bias is learned for each offset between two tokens.
struct WindowAttention : Module {
  int64_t heads;
  Windows windows;
  Tensor& relative_position_bias_table;  // ((2 w - 1)^2, N)
  Linear &qkv, &proj;

  WindowAttention(int64_t C, int64_t heads_, const Windows& windows_);
  Tensor forward(const Tensor& map);  // (B, side, side, C) -> same

 protected:
  void init_own(const std::function<Random()>& random) override;

 private:
  Constant offsets_, mask_;
  Tensor bias();  // (N, w^2, w^2), or with the mask (count^2, N, w^2, w^2)
};

struct SwinStage : Module {
  PatchMerging* downsample;  // null in the first stage
  std::vector<TransformerBlock<WindowAttention>*> blocks;
  bool recompute;
  // side: of the map that its blocks see. first: how many blocks of the model precede this stage.
  SwinStage(const SwinConfig& c, size_t stage, int64_t side, int64_t first, bool recompute_);
  Tensor forward(const Tensor& x);
};

struct Swin : Classifier {
  SwinConfig config;
  int64_t img_size;
  PatchEmbed& patch_embed;
  std::vector<SwinStage*> stages;
  LayerNorm& norm;
  Linear& head;

  // Error for images that 4 x 4 patches do not fill, and for ablations.
  Swin(const SwinConfig& c, const ModelSettings& s);

  // images (B, S, S, 3) with S = img_size -> logits (B, K). Error for another size.
  Tensor forward(const Tensor& images) override;
  std::string classifier() const override { return "head.fc"; }

 private:
  std::vector<SwinStage*> add_stages(bool recompute);
};

}  // namespace rmt::nn
