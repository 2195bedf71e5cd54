#include "nn/models/swin.h"

#include <numeric>

#include "ops/add.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/mean_pool.h"
#include "ops/roll.h"
#include "ops/scale.h"
#include "ops/slice.h"
#include "ops/softmax.h"

namespace rmt::nn {
namespace {

constexpr double kEps = 1e-5;  // of all norms
constexpr int64_t kPatch = 4;

SwinConfig checked(SwinConfig c, const ModelSettings& s) {
  s.expect_no_ablation(c.name);
  for (size_t i = 0; i < 4; ++i)
    CHECK(c.blocks[i] >= 1 && c.heads[i] >= 1 && (c.channels << i) % c.heads[i] == 0, c.name, ": ",
          c.channels << i, " channels of stage ", i + 1, " do not divide into ", c.heads[i],
          " heads, or it has no blocks");
  if (s.drop_path >= 0) c.drop_path = s.drop_path;
  return c;
}

// (B, n w, n w, C) <-> (B, n, n, w, w C), either way: the row in a window and the window in its row
// change places. `middle` is the shape that x has for it, the C numbers of a token moving together.
Tensor exchanged(const Tensor& x, const Shape& middle) {
  return ops::transpose(ops::view(x, middle), 2, 3);
}

}  // namespace

Tensor Windows::cut(const Tensor& map) const {
  const int64_t B = map.dim(0), C = map.dim(3), n = count();
  Tensor x = map;
  if (shift > 0) x = ops::roll(ops::roll(x, 1, -shift), 2, -shift);
  return ops::view(exchanged(padded(x, w), {B, n, w, n, w * C}), {B * n * n, w * w, C});
}

Tensor Windows::join(const Tensor& parts) const {
  const int64_t C = parts.dim(2), n = count(), B = parts.dim(0) / (n * n);
  Tensor x = ops::view(exchanged(parts, {B, n, n, w, w * C}), {B, n * w, n * w, C});
  if (n * w > side) x = ops::slice(ops::slice(x, 1, 0, side), 2, 0, side);
  return shift > 0 ? ops::roll(ops::roll(x, 1, shift), 2, shift) : x;
}

Tensor Windows::offsets() const {
  const int64_t L = w * w;
  Tensor x = Tensor::empty({L * L}, DType::i64);
  for (int64_t i = 0; i < L; ++i)
    for (int64_t j = 0; j < L; ++j)
      x.data<int64_t>()[i * L + j] =
          (i / w - j / w + w - 1) * (2 * w - 1) + (i % w - j % w + w - 1);
  return x;
}

Tensor Windows::mask() const {
  if (shift == 0) return {};
  const int64_t n = count(), L = w * w;
  // Along an axis, tokens of the last window came from two ends of the map. The border is counted
  // on the filled-up map, as timm counts it; with zeros at the end, some that came around lie
  // before it.
  auto came_around = [&](int64_t window, int64_t i) { return window == n - 1 && i >= w - shift; };
  Tensor x = Tensor::zeros({n * n, 1, L, L});
  float* p = x.data<float>();
  for (int64_t window = 0; window < n * n; ++window)
    for (int64_t i = 0; i < L; ++i)
      for (int64_t j = 0; j < L; ++j, ++p)
        if (came_around(window / n, i / w) != came_around(window / n, j / w) ||
            came_around(window % n, i % w) != came_around(window % n, j % w))
          *p = -100;
  return x;
}

const Tensor& Constant::in(DType dtype, Device device) {
  for (const Tensor& x : copies_)
    if (x.dtype() == dtype && x.device() == device) return x;
  copies_.push_back(copies_[0].to(dtype).to(device));
  return copies_.back();
}

WindowAttention::WindowAttention(int64_t C, int64_t heads_, const Windows& windows_)
    : heads(heads_),
      windows(windows_),
      relative_position_bias_table(parameter("relative_position_bias_table",
                                             {(2 * windows.w - 1) * (2 * windows.w - 1), heads})),
      qkv(add<Linear>("qkv", C, 3 * C)),
      proj(add<Linear>("proj", C, C)),
      offsets_(windows.offsets()),
      mask_(windows.mask()) {}

Tensor WindowAttention::bias() {
  const Tensor& table = relative_position_bias_table;
  const int64_t L = windows.w * windows.w;
  const Tensor of_pairs = ops::embedding(table, offsets_.in(DType::i64, table.device()));
  const Tensor of_heads = ops::view(ops::transpose(of_pairs, 0, 1), {heads, L, L});
  return mask_.defined() ? ops::add(mask_.in(table.dtype(), table.device()), of_heads) : of_heads;
}

Tensor WindowAttention::forward(const Tensor& map) {
  const Tensor x = windows.cut(map);  // (M, L, C), L tokens in each of M = B count^2 windows
  const int64_t B = map.dim(0), M = x.dim(0), L = x.dim(1), C = x.dim(2), D = C / heads;
  // (M, L, 3 C) -> (M, 3 N, L, D), of which q, k and v are a third each.
  const Tensor all = ops::transpose(ops::view(qkv.forward(x), {M, L, 3 * heads, D}), 1, 2);
  auto third = [&](int64_t i) { return ops::slice(all, 1, i * heads, (i + 1) * heads); };
  const Tensor q = ops::scale(third(0), 1 / std::sqrt(double(D)));
  const Tensor scores = ops::matmul(q, third(1), false, true);  // (M, N, L, L)
  const Tensor A = ops::softmax(ops::add(ops::view(scores, {B, M / B, heads, L, L}), bias()));
  const Tensor y = ops::matmul(ops::view(A, {M, heads, L, L}), third(2));  // (M, N, L, D)
  return proj.forward(windows.join(ops::view(ops::transpose(y, 1, 2), {M, L, C})));
}

void WindowAttention::init_own(const std::function<Random()>& random) {
  fill_normal(relative_position_bias_table, random(), 0.02);
}

SwinStage::SwinStage(const SwinConfig& c, size_t stage, int64_t side, int64_t first,
                     bool recompute_)
    : downsample(add_if<PatchMerging>(stage > 0, "downsample", (c.channels << stage) / 2, kEps)),
      recompute(recompute_) {
  BlockOptions o{.channels = c.channels << stage,
                 .heads = c.heads[stage],
                 .eps = kEps,
                 .drop_path = c.drop_path,
                 .blocks = std::accumulate(c.blocks.begin(), c.blocks.end(), int64_t(0))};
  for (int64_t i = 0; i < c.blocks[stage]; ++i) {
    o.index = first + i;
    blocks.push_back(&add<TransformerBlock<WindowAttention>>(
        str("blocks.", i), o, Windows(side, c.window, /*shifted=*/i % 2 == 1)));
  }
}

Tensor SwinStage::forward(const Tensor& x) {
  return through(blocks, downsample ? downsample->forward(x) : x, recompute);
}

Swin::Swin(const SwinConfig& c, const ModelSettings& s)
    : config(checked(c, s)),
      img_size(s.img_size),
      patch_embed(add<PatchEmbed>("patch_embed", c.channels, kPatch, kEps)),
      stages(add_stages(s.recompute)),
      norm(add<LayerNorm>("norm", c.channels * 8, kEps)),
      head(add<Linear>("head.fc", c.channels * 8, s.num_classes)) {}

std::vector<SwinStage*> Swin::add_stages(bool recompute) {
  std::vector<SwinStage*> out;
  int64_t side = patches_along(config.name, img_size, kPatch), first = 0;
  for (size_t i = 0; i < 4; ++i) {
    if (i > 0) side = (side + 1) / 2;
    out.push_back(&add<SwinStage>(str("layers.", i), config, i, side, first, recompute));
    first += config.blocks[i];
  }
  return out;
}

Tensor Swin::forward(const Tensor& images) {
  expect_images_of(config.name, images, img_size);
  Tensor x = patch_embed.forward(images);  // (B, S/4, S/4, C)
  for (SwinStage* stage : stages) x = stage->forward(x);
  return head.forward(ops::mean_pool(norm.forward(x)));
}

}  // namespace rmt::nn
