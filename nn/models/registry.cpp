#include "nn/models/registry.h"

#include <algorithm>

#include "core/error.h"
#include "nn/models/resnet.h"
#include "nn/models/rmt_skeletons.h"
#include "nn/models/swin.h"
#include "nn/models/vit.h"
#include "nn/rmt/model.h"

namespace rmt::nn {
namespace {

ModelEntry rmt(const std::string& name, const std::string& about) {
  return {name, about, [name](const ModelSettings& s) {
            return std::make_unique<Rmt>(configured(rmt_config(name), s));
          }};
}

// Of an architecture M that is made of a config and the settings.
template <class M, class Config>
ModelEntry model(const Config& config, const std::string& about) {
  return {config.name, about,
          [config](const ModelSettings& s) { return std::make_unique<M>(config, s); }};
}

// Made at the first use, which may be the registration of a program's own model before main().
std::vector<ModelEntry>& models() {
  static std::vector<ModelEntry> all = {
      rmt("rmt_n", "RMT for small images and CPUs"),
      rmt("rmt_t", "RMT of the paper, tiny"),
      rmt("rmt_s", "RMT of the paper, small"),
      rmt("rmt_b", "RMT of the paper, base"),
      rmt("rmt_l", "RMT of the paper, large"),
      model<Vit>(deit_s(), "DeiT, small"),
      model<RmtVit>(rmt_deit_s(), "DeiT, small, with RMT's attention"),
      model<Swin>(swin_t(), "Swin, tiny"),
      model<RmtSwin>(rmt_swin_t(), "Swin, tiny, with RMT's attention"),
      model<Swin>(swin_s(), "Swin, small"),
      model<RmtSwin>(rmt_swin_s(), "Swin, small, with RMT's attention"),
      model<Vit>(vit_n(), "a vision transformer for small images and CPUs"),
      {"resnet_n", "a residual network for small images and CPUs",
       [](const ModelSettings& s) { return std::make_unique<ResNet>(s); }},
  };
  return all;
}

const ModelEntry* find(const std::string& name) {
  for (const ModelEntry& entry : models())
    if (entry.name == name) return &entry;
  return nullptr;
}

std::string names() {
  std::string text;
  for (const ModelEntry& entry : models()) text += (text.empty() ? "" : ", ") + entry.name;
  return text;
}

bool is_plain(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

}  // namespace

void register_model(const ModelEntry& entry) {
  CHECK(is_plain(entry.name), "model name \"", entry.name,
        "\": letters, digits, '_', '-' and '.' make a name, at least one of them");
  CHECK(find(entry.name) == nullptr, "a model called \"", entry.name, "\" is known already (",
        find(entry.name)->about, "); give yours another name");
  CHECK(entry.make, "model \"", entry.name, "\": no constructor was given");
  models().push_back(entry);
}

const std::vector<ModelEntry>& known_models() { return models(); }
bool knows_model(const std::string& name) { return find(name) != nullptr; }

std::unique_ptr<Classifier> make_model(const std::string& name, const ModelSettings& settings) {
  const ModelEntry* entry = find(name);
  CHECK(entry, "unknown model \"", name, "\"; known: ", names(),
        "; a program knows models of yours that are linked into it (make MODELS=file.cpp)");
  CHECK(settings.num_classes >= 1, name, ": ", settings.num_classes, " classes; give at least 1");
  auto model = entry->make(settings);
  CHECK(model, "model \"", name, "\": its constructor made nothing");
  return model;
}

RmtConfig configured(RmtConfig c, const ModelSettings& s) {
  c.num_classes = s.num_classes;
  if (s.drop_path >= 0) c.drop_path = s.drop_path;
  c.recompute = s.recompute;
  s.ablate(c);
  return c;
}

void ModelSettings::expect_no_ablation(const std::string& model) const {
  CHECK(ablation.empty(), ablation, ": ", model, " has no such part; it is an ablation of RMT");
}

void ModelSettings::expect_no_recompute(const std::string& model) const {
  CHECK(!recompute, "--grad-checkpointing: ", model, " does not recompute; leave it out");
}

void ModelSettings::expect_no_drop_path(const std::string& model) const {
  CHECK(drop_path <= 0, "--drop-path ", drop_path, ": ", model, " has none; leave it out");
}

}  // namespace rmt::nn
