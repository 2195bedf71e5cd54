#include "train/weights/recognise.h"

namespace rmt::train {
namespace {

// First extent of the tensor of that name; 0 when there is none.
int64_t extent(const Archive& a, const std::string& name) {
  auto it = a.tensors.find(name);
  return it == a.tensors.end() || it->second.rank() == 0 ? 0 : it->second.dim(0);
}

// Told by the channels that a token head reads.
nn::TokenHead token_head(const Archive& a, const nn::RmtConfig& c) {
  auto it = a.tensors.find("aux_head.weight");
  if (it == a.tensors.end()) return nn::TokenHead::none;
  const int64_t channels = it->second.rank() == 2 ? it->second.dim(1) : 0;
  if (channels == c.stages[3].channels) return nn::TokenHead::tokens;
  CHECK(channels > 0 && channels == c.projection, a.path, ": aux_head.weight is ",
        it->second.shape(), ", expected (classes, ", c.stages[3].channels, ") or (classes, ",
        c.projection, ")");
  return nn::TokenHead::projected;
}

std::string list(const std::array<int64_t, 4>& x) {
  return str(x[0], ", ", x[1], ", ", x[2], ", ", x[3]);
}

}  // namespace

nn::RmtConfig recognise(const Archive& a) {
  CHECK(extent(a, "layers.0.Relpos.decay") > 0, a.path,
        ": holds no RMT: it has no tensor \"layers.0.Relpos.decay\" among its ", a.tensors.size());
  CHECK(extent(a, "head.weight") > 0, a.path,
        ": holds an RMT without its classifier (no \"head.weight\"), as detectors and segmenters "
        "do; give the classifier's weights");
  CHECK(extent(a, "layers.0.blocks.0.retention.g_proj.weight") == 0, a.path,
        ": holds an RMT with a gate (it has a \"g_proj\"), of --attention gate or of --attention "
        "retention: weights do not tell which; take the file that rmt-train wrote, which does");
  std::array<int64_t, 4> channels{}, blocks{}, heads{}, hidden{};
  for (size_t s = 0; s < 4; ++s) {
    const std::string stage = str("layers.", s, ".");
    auto block = [&](int64_t i, const char* name) {
      return extent(a, str(stage, "blocks.", i, ".", name));
    };
    heads[s] = extent(a, stage + "Relpos.decay");
    channels[s] = block(0, "retention.q_proj.weight");
    hidden[s] = block(0, "ffn.fc1.weight");
    while (block(blocks[s], "retention.q_proj.weight") > 0) ++blocks[s];
  }
  std::string known;
  for (const std::string& name : nn::rmt_names()) {
    nn::RmtConfig c = nn::rmt_config(name);
    known += (known.empty() ? "" : ", ") + name;
    bool same = per_stage(c, &nn::StageConfig::channels) == channels &&
                per_stage(c, &nn::StageConfig::blocks) == blocks &&
                per_stage(c, &nn::StageConfig::heads) == heads;
    for (size_t s = 0; s < 4; ++s) same = same && c.stages[s].hidden() == hidden[s];
    if (!same) continue;
    const std::string block = "layers.0.blocks.0.";
    c.num_classes = extent(a, "head.weight");
    c.projection = extent(a, "proj.weight");
    c.token_head = token_head(a, c);
    c.local_context = extent(a, block + "retention.lepe.conv.weight") > 0;
    c.position_conv = extent(a, block + "pos.conv.weight") > 0;
    c.ffn_conv = extent(a, block + "ffn.dwconv.conv.weight") > 0;
    c.conv_stem = extent(a, "patch_embed.proj.3.weight") > 0;
    c.rotary = c.projection > 0 || c.ffn_conv;
    for (size_t s = 0; s < 4; ++s)
      c.stages[s].layer_scale = extent(a, str("layers.", s, ".blocks.0.gamma_1")) > 0;
    return c;
  }
  throw Error(str(a.path, ": holds an RMT of ", list(blocks), " blocks, ", list(channels),
                  " channels and ", list(heads), " heads, which is none of ", known));
}

}  // namespace rmt::train
