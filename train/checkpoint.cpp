#include "train/checkpoint.h"

#include <nlohmann/json.hpp>

namespace rmt {
namespace {

using json = nlohmann::json;
const std::string kOptimizer = "optimizer.";

std::string text(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// Metadata is written by anyone: what does not parse is an Error, not an exception of the JSON library.
json metadata_json(const Archive& a, const std::string& key) {
  auto it = a.metadata.find(key);
  if (it == a.metadata.end()) return nullptr;
  json value = json::parse(it->second, nullptr, false);
  CHECK(!value.is_discarded(), a.path, ": its metadata \"", key, "\" is not JSON; the file is not one of rmt's or is damaged");
  return value;
}

template <class T>
T field(const Archive& a, const json& object, const char* name) {
  try {
    return object.at(name).get<T>();
  } catch (const json::exception&) {
    throw Error(str(a.path, ": its metadata lacks a usable \"", name, "\"; resume from a last.safetensors that rmt-train wrote"));
  }
}

bool same_kind(DType a, DType b) { return a == b || (is_float(a) && is_float(b)); }

std::string describe_tensor(const Tensor& x) { return str(x.dtype(), " ", x.shape()); }

// Counts of what differs, and the first of it in the model's order.
struct Difference {
  int64_t missing = 0, unexpected = 0, reshaped = 0;
  std::string first;
  bool any() const { return missing + unexpected + reshaped > 0; }
  void note(int64_t& count, const std::string& what) {
    ++count;
    if (first.empty()) first = what;
  }
};

Difference compare(const std::vector<nn::Entry>& state, const Archive& a) {
  Difference d;
  std::map<std::string, bool> known;
  for (const nn::Entry& e : state) {
    known[e.name] = true;
    auto it = a.tensors.find(e.name);
    if (it == a.tensors.end())
      d.note(d.missing, str(e.name, " is ", describe_tensor(*e.tensor), " in the model and missing in the file"));
    else if (it->second.shape() != e.tensor->shape() || !same_kind(it->second.dtype(), e.tensor->dtype()))
      d.note(d.reshaped, str(e.name, " is ", describe_tensor(*e.tensor), " in the model and ", describe_tensor(it->second), " in the file"));
  }
  for (auto& [name, x] : a.tensors)
    if (!known.count(name) && !name.starts_with(kOptimizer)) d.note(d.unexpected, str(name, " is ", describe_tensor(x), " in the file and not in the model"));
  return d;
}

// The file's tensor of that name, which must look like x.
const Tensor& fitting(const Archive& a, const std::string& name, const Tensor& x) {
  const Tensor& y = a.at(name);
  CHECK(y.shape() == x.shape() && y.dtype() == x.dtype(), a.path, ": ", name, " is ", describe_tensor(y), ", the run needs ", describe_tensor(x));
  return y;
}

}  // namespace

Archive model_archive(nn::Module& model, const Description& d) {
  Archive a;
  for (const nn::Entry& e : model.state()) a.tensors[e.name] = e.tensor->to(Device::cpu);
  a.metadata = {{"architecture", d.architecture}, {"num_classes", std::to_string(d.classes.size())}, {"classes", text(d.classes)}, {"options", d.options}};
  return a;
}

void add_optimizer(Archive& a, AdamW& optimizer, const Progress& progress) {
  for (AdamW::Slot& s : optimizer.slots()) {
    a.tensors[kOptimizer + "exp_avg." + s.name] = s.exp_avg.to(Device::cpu);
    a.tensors[kOptimizer + "exp_avg_sq." + s.name] = s.exp_avg_sq.to(Device::cpu);
    a.tensors[kOptimizer + "step." + s.name] = Tensor::from<int64_t>({s.t}, {});
  }
  a.metadata["progress"] = text({{"epoch", progress.epoch}, {"best_acc1", progress.best_acc1}, {"best_epoch", progress.best_epoch}});
}

void load_model(nn::Module& model, const Archive& a, const std::string& architecture) {
  std::vector<nn::Entry> state = model.state();
  if (Difference d = compare(state, a); d.any()) {
    std::string recorded = describe(a).architecture, hint;
    if (!recorded.empty() && recorded != architecture) hint = str("; the file says that it holds ", recorded, ", this model is ", architecture);
    throw Error(str(a.path, ": does not fit the model: ", d.first, " (", d.missing, " keys missing, ", d.unexpected, " unexpected, ", d.reshaped,
                    " of another shape)", hint));
  }
  for (const nn::Entry& e : state) e.tensor->copy_from(a.at(e.name));
}

Progress load_optimizer(AdamW& optimizer, const Archive& a) {
  json p = metadata_json(a, "progress");
  CHECK(p.is_object(), a.path, ": holds a model without the state of its training; resume from the last.safetensors of a run");
  Progress progress{field<int64_t>(a, p, "epoch"), field<double>(a, p, "best_acc1"), field<int64_t>(a, p, "best_epoch")};
  for (AdamW::Slot& s : optimizer.slots()) {
    s.exp_avg.copy_from(fitting(a, kOptimizer + "exp_avg." + s.name, s.exp_avg));
    s.exp_avg_sq.copy_from(fitting(a, kOptimizer + "exp_avg_sq." + s.name, s.exp_avg_sq));
    s.t = fitting(a, kOptimizer + "step." + s.name, Tensor::empty({}, DType::i64)).item<int64_t>();
  }
  return progress;
}

Description describe(const Archive& a) {
  auto value = [&](const char* key) { return a.metadata.count(key) ? a.metadata.at(key) : ""; };
  Description d{value("architecture"), {}, value("options")};
  json classes = metadata_json(a, "classes");
  if (classes.is_array())
    for (const json& name : classes) d.classes.push_back(name.is_string() ? name.get<std::string>() : text(name));
  return d;
}

}  // namespace rmt
