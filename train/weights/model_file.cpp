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

nn::TokenHead token_head_named(const std::string& name) {
  if (name == "none") return nn::TokenHead::none;
  if (name == "tokens") return nn::TokenHead::tokens;
  CHECK(name == "projected", "unknown token head \"", name, "\"; known: none, tokens, projected");
  return nn::TokenHead::projected;
}

const char* name_of(nn::TokenHead head) {
  if (head == nn::TokenHead::none) return "none";
  return head == nn::TokenHead::tokens ? "tokens" : "projected";
}

void set_stages(nn::RmtConfig& c, bool nn::StageConfig::*field, const std::string& text,
                const char* flag) {
  if (text.empty()) return;
  CHECK(text.size() == 4 && text.find_first_not_of("01") == std::string::npos, "--", flag, " ",
        text, ": give one 0 or 1 for each of the 4 stages, as in 1110");
  for (size_t i = 0; i < 4; ++i) c.stages[i].*field = text[i] == '1';
}

// The flag of an ablation that is not at its default, "" where all are.
std::string first_ablation(const TrainOptions& o) {
  std::string flag = o.token_head == "none" ? "" : "--token-head";
  for_each_setting([&](const auto& s) {
    if (s.group == Group::ablations && flag.empty() && o.*s.field != TrainOptions().*s.field)
      flag = s.flags;
  });
  return flag;
}

void ablate(const TrainOptions& o, nn::RmtConfig& c) {
  c.decay_mode = decay_mode_named(o.decay_mode);
  c.attention = attention_named(o.attention);
  c.retention_form = retention_form_named(o.retention_form);
  c.retention_chunk = o.retention_chunk;
  c.token_head = token_head_named(o.token_head);
  for_each_switch([&](const char*, auto option, auto field) { c.*field = o.*option; });
  set_stages(c, &nn::StageConfig::decomposed, o.decomposed, "decomposed");
  set_stages(c, &nn::StageConfig::layer_scale, o.layer_scale, "layer-scale");
}

bool is_rmt(const std::string& name) {
  const std::vector<std::string> names = nn::rmt_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

// model_config() the other way round, for a model recognised by its weights: writes the options
// that make it. Its projection is not among them, since no option changes it.
void record_switches(const nn::RmtConfig& c, TrainOptions& o) {
  o.model = c.name;
  for_each_switch([&](const char*, auto option, auto field) { o.*option = c.*field; });
  o.token_head = name_of(c.token_head);
  o.layer_scale.clear();
  for (const nn::StageConfig& s : c.stages) o.layer_scale += s.layer_scale ? '1' : '0';
}

// How large a model is, told before one is made for a file that names it: the parameters of the
// model with one class, and those that each further class adds.
struct Outline {
  std::string classifier;
  int64_t with_one_class = 0, a_class = 0;
};

Outline outline_of(const TrainOptions& o, const std::optional<nn::RmtConfig>& config) {
  if (!config) {
    const auto model = make_model(o, 1);
    Outline outline{model->classifier(), model->parameter_count()};
    for (const nn::Entry& e : model->parameters())
      if (e.name.starts_with(outline.classifier + ".")) outline.a_class += e.tensor->numel();
    return outline;
  }
  auto parameters = [c = *config](int64_t K) mutable {
    c.num_classes = K;
    return nn::total(nn::cost(c, 224, 224)).parameters;
  };
  return {"head", parameters(1), parameters(2) - parameters(1)};
}

// The rows of the classifier in the file.
int64_t classes_in(const Archive& a, const std::string& classifier) {
  const Tensor& weight = a.at(classifier + ".weight");
  CHECK(weight.rank() == 2 && weight.numel() > 0, a.path, ": ", classifier, ".weight is ",
        weight.shape(), ", expected (classes, channels)");
  return weight.dim(0);
}

// A model takes its memory when it is made, so a small file that names a large one is refused
// before. Half of the numbers are enough here: what exactly is missing, load_model() says.
void check_enough(const Archive& a, const ModelKind& kind, const Outline& outline) {
  int64_t held = 0;
  for (const auto& [name, x] : a.tensors)
    if (!name.starts_with("optimizer.")) held += x.numel();
  const int64_t needed = outline.with_one_class + (kind.num_classes - 1) * outline.a_class;
  CHECK(2 * held >= needed, a.path, ": does not fit the model: it holds ", held, " numbers, and ",
        kind.options.model, " with ", kind.num_classes, " classes has ", needed,
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

nn::ModelSettings model_settings(const TrainOptions& o, int64_t num_classes) {
  return {.num_classes = num_classes,
          .img_size = o.img_size,
          .drop_path = o.drop_path,
          .recompute = o.grad_checkpointing,
          .ablate = [o](nn::RmtConfig& c) { ablate(o, c); },
          .ablation = first_ablation(o)};
}

std::unique_ptr<nn::Classifier> make_model(const TrainOptions& o, int64_t num_classes) {
  return nn::make_model(o.model, model_settings(o, num_classes));
}

nn::RmtConfig model_config(const TrainOptions& o, int64_t num_classes) {
  return nn::configured(nn::rmt_config(o.model), model_settings(o, num_classes));
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
  t.augment_first = o.augment_first;
  t.random_resampling = o.train_interpolation == "random";
  if (t.augment) t.augment->random_resampling = t.random_resampling;
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

std::unique_ptr<nn::Classifier> ModelKind::make() const {
  if (by_shapes) return std::make_unique<nn::Rmt>(*by_shapes);
  return make_model(options, num_classes);
}

ModelKind model_kind(const Archive& archive, const std::string& model) {
  const Description d = description_of(archive);
  ModelKind kind;
  check_finite(archive);
  if (!d.options.empty()) kind.options = options_from_json(d.options, archive.path);
  const std::string& head = kind.options.head;
  CHECK(head.empty(), archive.path, ": holds no classifier but ", kind.options.model, " with ",
        head, "; ", head == "semantic_fpn" || head == "upernet" ? "rmt-seg" : "rmt-det",
        " reads it");
  const std::string recorded = d.options.empty() ? d.architecture : kind.options.model;
  const std::string name = model.empty() ? recorded : model;
  std::optional<nn::RmtConfig> config;
  if (name.empty()) {
    config = kind.by_shapes = recognise(archive);
    record_switches(*config, kind.options);
  } else {
    CHECK(!model.empty() || nn::knows_model(name), archive.path, ": holds a model called \"", name,
          "\", which this program does not know; use the program that trained it, or link "
          "the model into this one (make MODELS=file.cpp)");
    kind.options.model = name;
    if (is_rmt(name)) {
      if (d.options.empty())  // then its shapes say whether it has a token head
        kind.options.token_head = name_of(token_head_in(archive, nn::rmt_config(name)));
      config = model_config(kind.options, 1);
    }
    // Of other models the parameters may grow with the size of the images (position embeddings).
    CHECK(config || kind.options.img_size <= kMaxRecordedSize, archive.path, ": says that its ",
          name, " was trained on images of ", kind.options.img_size, " pixels; ", kMaxRecordedSize,
          " are the most that are believed");
  }
  const Outline outline = outline_of(kind.options, config);
  kind.num_classes = classes_in(archive, outline.classifier);
  check_enough(archive, kind, outline);
  return kind;
}

ModelFile model_from(const Archive& archive, const std::string& model) {
  const ModelKind kind = model_kind(archive, model);
  ModelFile file{kind.options, description_of(archive).classes, kind.num_classes, kind.make(), ""};
  load_model(*file.model, archive, kind.options.model);
  auto note = [&](const char* key) {
    return archive.metadata.count(key) ? archive.metadata.at(key) : "";
  };
  file.origin = str(archive.path, ": ", kind.options.model,
                    kind.by_shapes ? " by its shapes, " : ", ", kind.num_classes, " classes");
  if (!note("taken_from").empty()) file.origin += "; weights of \"" + note("taken_from") + "\"";
  if (!note("beside").empty()) file.origin += " (beside: " + note("beside") + ")";
  return file;
}

nn::Rmt& ModelFile::rmt(const std::string& what) const {
  auto* model_of_rmt = dynamic_cast<nn::Rmt*>(model.get());
  CHECK(model_of_rmt, what, " looks into the stages of an RMT, and ", options.model, " is none");
  return *model_of_rmt;
}

}  // namespace rmt::train
