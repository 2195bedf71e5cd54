#include "train/weights/finetune.h"

#include <algorithm>
#include <cstring>

#include "train/settings.h"
#include "train/weights/pth.h"

namespace rmt::train {
namespace {

// rows[k] of x becomes row k.  x (K, ...)
Tensor permuted(const Tensor& x, const std::vector<size_t>& rows) {
  const Tensor from = x.to(Device::cpu);
  Tensor y = Tensor::empty_like(from);
  const size_t bytes = rows.empty() ? 0 : from.nbytes() / rows.size();
  for (size_t k = 0; k < rows.size(); ++k)
    std::memcpy(static_cast<char*>(y.raw()) + k * bytes,
                static_cast<const char*>(from.raw()) + rows[k] * bytes, bytes);
  return y;
}

// Where each of `classes` stands among `known`; empty when these are not the same names, each once.
std::vector<size_t> places(const std::vector<std::string>& classes,
                           const std::vector<std::string>& known) {
  std::vector<size_t> out;
  for (const std::string& name : classes)
    if (auto at = std::find(known.begin(), known.end(), name); at != known.end())
      out.push_back(size_t(at - known.begin()));
  std::vector<size_t> sorted = out;
  std::sort(sorted.begin(), sorted.end());
  const bool each_once = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  return out.size() == classes.size() && out.size() == known.size() && each_once
             ? out
             : std::vector<size_t>();
}

// Makes a classifier in the archive fit the model's: `name` is "head" or the like. Returns what
// became of it, for people.
std::string fit_head(Archive& a, nn::Classifier& model, const std::string& name,
                     const std::vector<std::string>& known,
                     const std::vector<std::string>& classes) {
  const std::string head = name + ".";
  const Tensor& rows = a.at(head + "weight");
  const int64_t K = int64_t(classes.size()), K_file = rows.rank() == 2 ? rows.dim(0) : 0;
  const bool named = int64_t(known.size()) == K_file;  // else the names are not those of the rows
  const std::vector<size_t> order = named ? places(classes, known) : std::vector<size_t>();
  if (K_file == K && !named)
    return str(name, ": kept, its ", K,
               " classes in their order, since the file does not name them");
  if (K_file == K && !order.empty()) {
    if (std::is_sorted(order.begin(), order.end()))
      return str(name, ": kept, the same ", K, " classes");
    for (auto& [key, x] : a.tensors)
      if (key.starts_with(head) && x.rank() > 0 && x.dim(0) == K) x = permuted(x, order);
    return str(name, ": kept, its ", K, " classes put into the order of the images'");
  }
  for (const nn::Entry& e : model.parameters())
    if (e.name.starts_with(head)) a.tensors[e.name] = e.tensor->detach();
  return str(name, ": ", K_file, " -> ", K, K_file == K ? " other" : "", " classes, made anew");
}

// The same of the token head, which file and model may have or not. "" where neither has one.
std::string fit_token_head(Archive& a, nn::Classifier& model, const std::vector<std::string>& known,
                           const std::vector<std::string>& classes) {
  const Tensor* own = nullptr;
  for (const nn::Entry& e : model.parameters())
    if (e.name == "aux_head.weight") own = e.tensor;
  const auto at = a.tensors.find("aux_head.weight");
  const bool given = at != a.tensors.end();
  if (!own) {
    a.tensors.erase("aux_head.weight");
    a.tensors.erase("aux_head.bias");
    return given ? "aux_head: left out; token labels train it, and there are none here" : "";
  }
  const bool fits = given && at->second.rank() == 2 && at->second.dim(1) == own->dim(1);
  if (fits) return fit_head(a, model, "aux_head", known, classes);
  for (const nn::Entry& e : model.parameters())
    if (e.name.starts_with("aux_head.")) a.tensors[e.name] = e.tensor->detach();
  return "aux_head: made anew";
}

}  // namespace

Pretrained read_pretrained(const std::string& path, const std::string& model) {
  Pretrained p;
  p.weights = read_weights(weights_path(path));
  const Description d = description_of(p.weights);
  const bool told = !d.architecture.empty() || p.weights.tensors.count("layers.0.Relpos.decay") > 0;
  p.options = model_kind(p.weights, told ? "" : model).options;
  p.knows_images = !d.options.empty();
  p.classes = d.classes;
  return p;
}

TrainOptions with_model_of(const Pretrained& p, TrainOptions o) {
  const TrainOptions& from = p.options;
  o.model = from.model;
  for_each_setting([&](const auto& s) {
    if (s.group == Group::ablations) o.*s.field = from.*s.field;
  });
  if (p.knows_images) {
    o.img_size = from.img_size;
    o.crop_pct = from.crop_pct;
    o.mean = from.mean;
    o.std = from.std;
  }
  return o;
}

std::vector<std::string> start_from(nn::Classifier& model, const Pretrained& p,
                                    const std::vector<std::string>& classes,
                                    const TrainOptions& o) {
  Archive fitted = p.weights;
  auto note = [&](const char* key) {
    return fitted.metadata.count(key) ? str("; weights of \"", fitted.metadata.at(key), "\"") : "";
  };
  std::vector<std::string> lines{
      str("starting from ", fitted.path, ": ", p.options.model, note("taken_from"))};
  lines.push_back(fit_head(fitted, model, model.classifier(), p.classes, classes));
  const std::string token_head = fit_token_head(fitted, model, p.classes, classes);
  if (!token_head.empty()) lines.push_back(token_head);
  load_model(model, fitted, o.model);
  if (p.knows_images && p.options.img_size != o.img_size)
    lines.push_back(str("images: ", o.img_size, " px here, ", p.options.img_size,
                        " px in the file; every parameter fits any size"));
  return lines;
}

void check_fine_tuning(const TrainOptions& o) {
  if (!o.initial_checkpoint.empty()) return;
  CHECK(o.freeze.empty(), "--freeze ", o.freeze,
        " without --initial-checkpoint would keep weights that never learnt; give a file of "
        "weights with it");
  CHECK(o.layer_decay == 1, "--layer-decay ", o.layer_decay,
        " (--recipe finetune sets one) without --initial-checkpoint: layers that start from "
        "nothing must ",
        "all learn; give a file of weights, or --layer-decay 1");
}

void freeze(const std::vector<nn::Entry>& parameters, const std::vector<ParameterRule>& rules) {
  for (size_t i = 0; i < parameters.size(); ++i) freeze(*parameters[i].tensor, rules.at(i).frozen);
}

}  // namespace rmt::train
