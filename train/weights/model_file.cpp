#include "train/weights/model_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "nn/rmt/cost.h"
#include "ops/attention/manhattan_attention.h"
#include "train/settings.h"
#include "train/weights/pth.h"
#include "train/weights/recognise.h"

namespace rmt::train {
namespace {

ops::DecayMode decay_mode_named(const std::string& name) {
  if (name == "log_additive") return ops::DecayMode::log_additive;
  if (name == "post_multiply") return ops::DecayMode::post_multiply;
  CHECK(name == "post_multiply_normalised", "unknown decay mode \"", name,
        "\"; known: log_additive, post_multiply, post_multiply_normalised");
  return ops::DecayMode::post_multiply_normalised;
}

nn::AttentionForm attention_named(const std::string& name) {
  if (name == "manhattan") return nn::AttentionForm::manhattan;
  if (name == "gate") return nn::AttentionForm::gate;
  CHECK(name == "retention", "unknown attention \"", name, "\"; known: manhattan, gate, retention");
  return nn::AttentionForm::retention;
}

ops::RetentionForm retention_form_named(const std::string& name) {
  if (name == "parallel") return ops::RetentionForm::parallel;
  if (name == "chunkwise") return ops::RetentionForm::chunkwise;
  CHECK(name == "recurrent", "unknown form of retention \"", name,
        "\"; known: parallel, chunkwise, recurrent");
  return ops::RetentionForm::recurrent;
}

void set_stages(nn::RmtConfig& c, bool nn::StageConfig::*field, const std::string& text,
                const char* flag) {
  if (text.empty()) return;
  CHECK(text.size() == 4 && text.find_first_not_of("01") == std::string::npos, "--", flag, " ",
        text, ": give one 0 or 1 for each of the 4 stages, as in 1110");
  for (size_t i = 0; i < 4; ++i) c.stages[i].*field = text[i] == '1';
}

// model_config() the other way round, for a model recognised by its weights: writes the options
// that make it. Its projection is not among them, since no option changes it.
void record_switches(const nn::RmtConfig& c, TrainOptions& o) {
  o.model = c.name;
  for_each_switch([&](const char*, auto option, auto field) { o.*option = c.*field; });
  o.layer_scale.clear();
  for (const nn::StageConfig& s : c.stages) o.layer_scale += s.layer_scale ? '1' : '0';
}

void check_head(const Archive& a) {
  const Tensor& head = a.at("head.weight");
  CHECK(head.rank() == 2 && head.numel() > 0, a.path, ": head.weight is ", head.shape(),
        ", expected (classes, channels)");
}

// A model takes its memory when it is made, so a small file that names a large one is refused
// before. Half of the numbers are enough here: what exactly is missing, load_model() says.
void check_enough(const Archive& a, const nn::RmtConfig& c) {
  int64_t held = 0;
  for (const auto& [name, x] : a.tensors)
    if (!name.starts_with("optimizer.")) held += x.numel();
  const int64_t needed = nn::total(nn::cost(c, 224, 224)).parameters;
  CHECK(2 * held >= needed, a.path, ": does not fit the model: it holds ", held, " numbers, and ",
        c.name, " with ", c.num_classes, " classes has ", needed,
        " parameters; the file is "
        "incomplete or another model's, get it again or name the right --model");
}

bool all_finite(const Tensor& x) {
  const Tensor y = x.dtype() == DType::f32 ? x : x.to(DType::f32);
  const float* p = y.data<float>();
  return std::all_of(p, p + y.numel(), [](float v) { return std::isfinite(v); });
}

// A run that diverged leaves weights that answer every image with "not a number".
void check_finite(const Archive& a) {
  for (const auto& [name, x] : a.tensors)
    CHECK(name.starts_with("optimizer.") || !is_float(x.dtype()) || all_finite(x), a.path, ": ",
          name,
          " holds numbers that are infinite or none: the training has diverged, or the file "
          "is damaged; take an earlier checkpoint");
}

}  // namespace

nn::RmtConfig model_config(const TrainOptions& o, int64_t num_classes) {
  nn::RmtConfig c = nn::rmt_config(o.model);
  c.num_classes = num_classes;
  if (o.drop_path >= 0) c.drop_path = o.drop_path;
  c.recompute = o.grad_checkpointing;
  c.decay_mode = decay_mode_named(o.decay_mode);
  c.attention = attention_named(o.attention);
  c.retention_form = retention_form_named(o.retention_form);
  c.retention_chunk = o.retention_chunk;
  for_each_switch([&](const char*, auto option, auto field) { c.*field = o.*option; });
  set_stages(c, &nn::StageConfig::decomposed, o.decomposed, "decomposed");
  set_stages(c, &nn::StageConfig::layer_scale, o.layer_scale, "layer-scale");
  return c;
}

data::TransformOptions transform_options(const TrainOptions& o) {
  data::TransformOptions t;
  t.image_size = o.img_size;
  t.scale_min = o.scale[0];
  t.scale_max = o.scale[1];
  t.ratio_min = o.ratio[0];
  t.ratio_max = o.ratio[1];
  t.crop_padding = o.crop_padding;
  t.flip = o.hflip;
  t.augment = data::parse_augment(o.aa);
  t.color_jitter = o.color_jitter;
  t.erasing.probability = o.reprob;
  t.crop_pct = o.crop_pct;
  for (size_t c = 0; c < 3; ++c) {
    t.mean[c] = float(o.mean[c]);
    t.deviation[c] = float(o.std[c]);
  }
  return t;
}

std::string weights_path(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return path;
  const std::string best = path + "/best.safetensors", model = path + "/model.safetensors";
  return !std::filesystem::exists(best) && std::filesystem::exists(model) ? model : best;
}

void set_image_size(ModelFile& file, int64_t asked) {
  if (asked > 0) file.options.img_size = asked;
  CHECK(asked > 0 || file.options.img_size <= kMaxRecordedSize, file.origin,
        ", says that it was trained on images of ", file.options.img_size,
        " pixels, of which one would take minutes; give --img-size if you want that, or the size "
        "that is right");
}

ModelFile load_model_file(const std::string& path, const std::string& model) {
  return model_from(read_weights(weights_path(path)), model);
}

ModelKind model_kind(const Archive& archive, const std::string& model) {
  const Description d = description_of(archive);
  ModelKind kind;
  check_finite(archive);
  if (!d.options.empty()) kind.options = options_from_json(d.options, archive.path);
  const std::string name = !model.empty()       ? model
                           : !d.options.empty() ? kind.options.model
                                                : d.architecture;
  kind.recorded = !name.empty();
  if (kind.recorded) {
    check_head(archive);
    kind.options.model = name;
    kind.config = model_config(kind.options, archive.at("head.weight").dim(0));
  } else {
    kind.config = recognise(archive);
    check_head(archive);
    record_switches(kind.config, kind.options);
  }
  check_enough(archive, kind.config);
  return kind;
}

ModelFile model_from(const Archive& archive, const std::string& model) {
  const ModelKind kind = model_kind(archive, model);
  ModelFile file{kind.options, description_of(archive).classes,
                 std::make_unique<nn::Rmt>(kind.config), ""};
  load_model(*file.model, archive, kind.config.name);
  auto note = [&](const char* key) {
    return archive.metadata.count(key) ? archive.metadata.at(key) : "";
  };
  file.origin = str(archive.path, ": ", kind.config.name, kind.recorded ? ", " : " by its shapes, ",
                    kind.config.num_classes, " classes");
  if (!note("taken_from").empty()) file.origin += "; weights of \"" + note("taken_from") + "\"";
  if (!note("beside").empty()) file.origin += " (beside: " + note("beside") + ")";
  return file;
}

}  // namespace rmt::train
