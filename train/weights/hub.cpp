#include "train/weights/hub.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/files/files.h"
#include "train/settings.h"

namespace rmt::train {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

bool is_published(const std::string& name) {
  const std::vector<std::string> names = nn::rmt_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What differs from the published model of that name, where there is one.
json model_args(const ModelFile& file) {
  json out = json::object();
  auto add = [&](const char* name, const auto& value, const auto& usual) {
    if (value != usual) out[name] = value;
  };
  const auto* model = dynamic_cast<const nn::Rmt*>(file.model.get());
  if (model && is_published(model->config.name)) {
    const nn::RmtConfig &c = model->config, published = nn::rmt_config(c.name);
    add("projection", c.projection, published.projection);
    auto add_per_stage = [&](const char* name, bool nn::StageConfig::*field) {
      add(name, per_stage(c, field), per_stage(published, field));
    };
    add_per_stage("decomposed", &nn::StageConfig::decomposed);
    add_per_stage("layer_scale", &nn::StageConfig::layer_scale);
  }
  add("token_head", file.options.token_head, TrainOptions().token_head);
  for_each_setting([&](const auto& s) {
    const bool per_stage_flag =
        std::string(s.name) == "decomposed" || std::string(s.name) == "layer_scale";
    if (s.group == Group::ablations && !per_stage_flag)
      add(s.name, file.options.*s.field, TrainOptions().*s.field);
  });
  return out;
}

// The layer that sees the image, the first with filters, and the channels that the classifier sees.
struct Ends {
  std::string first_conv;
  int64_t features = 0;
};
Ends ends_of(const ModelFile& file) {
  Ends ends;
  const std::string weight = ".weight";
  for (const nn::Entry& e : file.model->parameters()) {
    const Tensor& x = *e.tensor;
    if (ends.first_conv.empty() && x.rank() == 4 && e.name.ends_with(weight))
      ends.first_conv = e.name.substr(0, e.name.size() - weight.size());
    if (e.name == file.model->classifier() + weight) ends.features = x.dim(-1);
  }
  return ends;
}

// How to use the folder; of an RMT also with the official code, and what to cite.
constexpr const char* kHowToUse = R"(
With rmt:

```sh
rmt-eval     FOLDER --data-dir IMAGES     # top-1, top-5, loss
rmt-classify FOLDER photo.jpg
```
)";
constexpr const char* kOfRmt = R"(
With PyTorch and the official code (images are normalised, (batch, 3, height, width)):

```python
from safetensors.torch import load_file
model.load_state_dict(load_file('model.safetensors'), strict=True)
model.eval()
```

```bibtex
@inproceedings{fan2024rmt,
  title     = {RMT: Retentive Networks Meet Vision Transformers},
  author    = {Fan, Qihang and Huang, Huaibo and Chen, Mingrui and Liu, Hongmin and He, Ran},
  booktitle = {CVPR},
  year      = {2024}
}
```
)";

}  // namespace

Archive published_weights(const Archive& archive) {
  Archive out;
  for (const auto& [name, x] : archive.tensors)
    if (!name.starts_with("optimizer."))
      out.tensors[name] = is_float(x.dtype()) ? x.to(DType::f32) : x;
  for (const char* key : {"architecture", "num_classes", "classes", "options"})
    if (auto it = archive.metadata.find(key); it != archive.metadata.end())
      out.metadata.insert(*it);
  if (std::string& options = out.metadata["options"]; options.empty()) {
    out.metadata.erase("options");
  } else {
    TrainOptions o = options_from_json(options, archive.path);
    o.data_dir.clear();
    o.token_label_data.clear();
    o.initial_checkpoint.clear();
    o.compare_log.clear();
    options = to_json(o);
  }
  return out;
}

std::string hub_config(const ModelFile& file) {
  const TrainOptions& o = file.options;
  const Ends ends = ends_of(file);
  json j{{"architecture", o.model},
         {"num_classes", file.num_classes},
         {"num_features", ends.features},
         {"global_pool", "avg"}};
  if (!file.classes.empty()) j["label_names"] = file.classes;
  if (json args = model_args(file); !args.empty()) j["model_args"] = args;
  j["pretrained_cfg"] = {{"num_classes", file.num_classes},
                         {"input_size", {3, o.img_size, o.img_size}},
                         {"interpolation", "bicubic"},
                         {"crop_pct", o.crop_pct},
                         {"crop_mode", "center"},
                         {"mean", o.mean},
                         {"std", o.std},
                         {"classifier", file.model->classifier()},
                         {"first_conv", ends.first_conv}};
  if (dynamic_cast<const nn::Rmt*>(file.model.get())) {
    const int64_t tokens = (o.img_size + 31) / 32;  // a side of the last stage's map
    j["pretrained_cfg"]["fixed_input_size"] = false;
    j["pretrained_cfg"]["pool_size"] = {tokens, tokens};
  }
  return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string hub_card(const ModelFile& file, const std::string& title) {
  const TrainOptions& o = file.options;
  const bool rmt = dynamic_cast<const nn::Rmt*>(file.model.get());
  return str(
      "---\ntags:\n- image-classification\n", rmt ? "- rmt\n" : "",
      "pipeline_tag: image-classification\nlibrary_name: rmt\n---\n# ", title, "\n\n", o.model,
      rmt ? ", a vision backbone of \"RMT: Retentive Networks Meet Vision Transformers\" (Fan et "
            "al., CVPR 2024): "
          : ", a network from images to classes: ",
      file.model->parameter_count(), " parameters, ", file.num_classes, " classes, images of ",
      o.img_size, " x ", o.img_size, R"( pixels.

| | |
|---|---|
| evaluation | shorter side to )",
      int64_t(double(o.img_size) / o.crop_pct), " pixels (bicubic), centre crop of ", o.img_size,
      R"( |
| mean, deviation of the channels | )",
      o.mean[0], " ", o.mean[1], " ", o.mean[2], ", ", o.std[0], " ", o.std[1], " ", o.std[2],
      rmt ? R"( |
| parameters | f32, under the names of the official code (github.com/qhfan/RMT), )"
            R"(with batch norm's statistics |
)"
          : " |\n| parameters | f32, in safetensors |\n",
      file.classes.empty()
          ? ""
          : "| classes | `label_names` in config.json, in the order of the logits |\n",
      kHowToUse, rmt ? kOfRmt : "");
}

void check_unused(const std::string& path, bool force) {
  CHECK(force || !fs::exists(path), path,
        ": exists and is not overwritten; choose another name, or add --force");
}

void write_hub_folder(const std::string& folder, const Archive& archive, const ModelFile& file,
                      bool force) {
  const fs::path base(folder), named = base.has_filename() ? base : base.parent_path();
  for (const char* name : {"model.safetensors", "config.json", "README.md"})
    check_unused((base / name).string(), force);
  std::error_code error;
  fs::create_directories(base, error);
  CHECK(!error, folder, ": cannot make this folder: ", error.message());
  write_safetensors((base / "model.safetensors").string(), published_weights(archive));
  write_file((base / "config.json").string(), hub_config(file));
  write_file((base / "README.md").string(), hub_card(file, named.filename().string()));
}

}  // namespace rmt::train
