#include "train/checkpoint.h"

#include <algorithm>
#include "train/run/json_text.h"

namespace rmt::train {
namespace {

using json = nlohmann::json;
const std::string kOptimizer = "optimizer.";
const std::string kAverage = "optimizer.average.";
const std::string kMomentum = "optimizer.momentum_buffer.";

std::string text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Metadata is written by anyone: what does not parse is an Error, not an exception of the JSON
// library.
json metadata_json(const Archive& a, const std::string& key) {
  auto it = a.metadata.find(key);
  if (it == a.metadata.end()) return nullptr;
  json value = parse_json(it->second);
  CHECK(!value.is_discarded(), a.path, ": its metadata \"", key,
        "\" is not JSON; the file is not one of rmt's or is damaged");
  return value;
}

template <class T>
T field(const Archive& a, const json& object, const char* name) {
  try {
    const json& value = object.at(name);
    if (!std::is_integral_v<T> || !value.is_number_float()) return value.get<T>();
  } catch (const json::exception&) {  // as below
  }
  throw Error(str(a.path, ": its metadata lacks a usable \"", name,
                  "\"; resume from a last.safetensors that rmt-train wrote"));
}

bool same_kind(DType a, DType b) { return a == b || (is_float(a) && is_float(b)); }

std::string describe_tensor(const Tensor& x) { return str(x.dtype(), " ", x.shape()); }

// Counts of what differs, and the first of it in the model's order.
struct Difference {
  int64_t missing = 0;
  int64_t unexpected = 0;
  int64_t reshaped = 0;
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
      d.note(d.missing, str(e.name, " is ", describe_tensor(*e.tensor),
                            " in the model and missing in the file"));
    else if (it->second.shape() != e.tensor->shape() ||
             !same_kind(it->second.dtype(), e.tensor->dtype()))
      d.note(d.reshaped, str(e.name, " is ", describe_tensor(*e.tensor), " in the model and ",
                             describe_tensor(it->second), " in the file"));
  }
  for (auto& [name, x] : a.tensors)
    if (!known.count(name) && !name.starts_with(kOptimizer))
      d.note(d.unexpected,
             str(name, " is ", describe_tensor(x), " in the file and not in the model"));
  return d;
}

// The file's tensor of that name, which must look like x.
const Tensor& fitting(const Archive& a, const std::string& name, const Tensor& x) {
  const Tensor& y = a.at(name);
  CHECK(y.shape() == x.shape() && y.dtype() == x.dtype(), a.path, ": ", name, " is ",
        describe_tensor(y), ", the run needs ", describe_tensor(x));
  return y;
}

// What the optimizer keeps of a parameter, under its keys in a file: PyTorch's names.
std::vector<std::pair<std::string, Tensor>> kept_of(const OptimizerSlot& s) {
  if (!s.exp_avg_sq.defined()) return {{kMomentum + s.name, s.exp_avg}};  // SGD
  return {{kOptimizer + "exp_avg." + s.name, s.exp_avg},
          {kOptimizer + "exp_avg_sq." + s.name, s.exp_avg_sq}};
}

void check_same_optimizer(const Optimizer& optimizer, const Archive& a) {
  const auto at = a.tensors.lower_bound(kMomentum);
  const bool then = at != a.tensors.end() && at->first.starts_with(kMomentum);
  const bool now = optimizer.options().sgd.has_value();
  auto name = [](bool sgd) { return sgd ? "sgd" : "adamw"; };
  CHECK(then == now, a.path, ": the run began with --opt ", name(then), ", now it has --opt ",
        name(now), ", which keeps other numbers; give it back --opt ", name(then),
        ", or begin a new run from its weights with --initial-checkpoint");
}

}  // namespace

Archive model_archive(nn::Module& model, const Description& d) {
  Archive a;
  for (const nn::Entry& e : model.state()) a.tensors[e.name] = e.tensor->to(Device::cpu);
  a.metadata = {{"architecture", d.architecture},
                {"num_classes", std::to_string(d.classes.size())},
                {"classes", text(d.classes)},
                {"options", d.options}};
  if (!d.weights.empty()) a.metadata["weights"] = d.weights;
  return a;
}

void add_optimizer(Archive& a, Optimizer& optimizer, const Progress& p, const DataCounts& data) {
  for (OptimizerSlot& s : optimizer.slots()) {
    for (const auto& [key, x] : kept_of(s)) a.tensors[key] = x.to(Device::cpu);
    a.tensors[kOptimizer + "step." + s.name] = Tensor::from<int64_t>({s.t}, {});
  }
  for (const WeightAverage::Entry& e : optimizer.average().entries())
    a.tensors[kAverage + e.name] = e.average.to(Device::cpu);
  const EpochSums& now = p.now;
  a.metadata["progress"] = text({{"epoch", p.epoch},
                                 {"best_acc1", p.best_acc1},
                                 {"best_epoch", p.best_epoch},
                                 {"best_is_average", p.best_is_average},
                                 {"skipped_in_a_row", p.skipped_in_a_row},
                                 {"loss", now.loss},
                                 {"parts", now.parts},
                                 {"lr", now.lr},
                                 {"seconds", now.seconds},
                                 {"steps", now.steps},
                                 {"images", now.images},
                                 {"judged", now.judged},
                                 {"skipped", now.skipped},
                                 {"bad_images", now.bad_images}});
  a.metadata["data"] = text({{"classes", data.classes},
                             {"train_images", data.train_images},
                             {"test_images", data.test_images},
                             {"train_checksum", data.train_checksum},
                             {"test_checksum", data.test_checksum}});
}

void load_model(nn::Module& model, const Archive& a, const std::string& architecture) {
  std::vector<nn::Entry> state = model.state();
  if (Difference d = compare(state, a); d.any()) {
    std::string recorded = description_of(a).architecture;
    std::string hint;
    if (!recorded.empty() && recorded != architecture)
      hint = str("; the file says that it holds ", recorded, ", this model is ", architecture);
    throw Error(str(a.path, ": does not fit the model: ", d.first, " (", d.missing,
                    " keys missing, ", d.unexpected, " unexpected, ", d.reshaped,
                    " of another shape)", hint));
  }
  for (const nn::Entry& e : state) e.tensor->copy_from(a.at(e.name));
}

Progress load_optimizer(Optimizer& optimizer, const Archive& a) {
  const json p = metadata_json(a, "progress");
  CHECK(p.is_object(), a.path,
        ": holds a model without the state of its training; resume from the last.safetensors of a "
        "run");
  Progress progress;
  progress.epoch = field<int64_t>(a, p, "epoch");
  progress.best_acc1 = field<double>(a, p, "best_acc1");
  progress.best_epoch = field<int64_t>(a, p, "best_epoch");
  if (p.contains("steps")) {  // older files were written between two epochs
    EpochSums& now = progress.now;
    progress.best_is_average = field<bool>(a, p, "best_is_average");
    progress.skipped_in_a_row = field<int64_t>(a, p, "skipped_in_a_row");
    now.loss = field<double>(a, p, "loss");
    now.lr = field<double>(a, p, "lr");
    now.seconds = field<double>(a, p, "seconds");
    now.steps = field<int64_t>(a, p, "steps");
    now.images = field<int64_t>(a, p, "images");
    now.judged = field<int64_t>(a, p, "judged");
    now.skipped = field<int64_t>(a, p, "skipped");
    now.bad_images = field<std::vector<std::string>>(a, p, "bad_images");
    if (p.contains("parts")) now.parts = field<std::map<std::string, double>>(a, p, "parts");
  }
  CHECK(progress.epoch >= 0 && progress.now.steps >= 0 && progress.now.images >= 0 &&
            progress.now.judged >= 0,
        a.path, ": its progress counts below 0; the file is damaged");
  check_same_optimizer(optimizer, a);
  for (OptimizerSlot& s : optimizer.slots()) {
    for (auto& [key, x] : kept_of(s)) x.copy_from(fitting(a, key, x));
    s.t = fitting(a, kOptimizer + "step." + s.name, Tensor::empty({}, DType::i64)).item<int64_t>();
  }
  optimizer.set_counts();
  for (const WeightAverage::Entry& e : optimizer.average().entries())
    if (a.tensors.count(kAverage + e.name))
      e.average.copy_from(fitting(a, kAverage + e.name, e.average));
  return progress;
}

DataCounts data_counts(const Archive& a) {
  const json d = metadata_json(a, "data");
  if (!d.is_object()) return {};  // an older file
  DataCounts counts{field<int64_t>(a, d, "classes"), field<int64_t>(a, d, "train_images"),
                    field<int64_t>(a, d, "test_images")};
  if (!d.contains("train_checksum")) return counts;  // an older file
  counts.train_checksum = field<std::string>(a, d, "train_checksum");
  counts.test_checksum = field<std::string>(a, d, "test_checksum");
  return counts;
}

void check_same_data(const Archive& a, const std::vector<std::string>& classes,
                     const DataCounts& now, const std::string& place) {
  const char* const remedy = "; give it back its data, or --force-resume to go on with these";
  const DataCounts then = data_counts(a);
  auto same = [&](int64_t before, int64_t count, const char* what) {
    CHECK(then.classes == 0 || before == count, a.path, ": the run began with ", before, " ", what,
          ", ", place, " has ", count, remedy);
  };
  same(then.classes, now.classes, "classes");
  same(then.train_images, now.train_images, "training images");
  same(then.test_images, now.test_images, "validation images");
  const json names = metadata_json(a, "classes"), now_names = json::parse(text(classes));
  for (size_t k = 0; names.is_array() && k < std::min(names.size(), now_names.size()); ++k)
    CHECK(names[k] == now_names[k], a.path, ": class ", k, " was ", text(names[k]),
          " when the run began, in ", place, " it is ", text(now_names[k]), remedy);
  auto equal = [&](const std::string& before, const std::string& sum, const char* what) {
    CHECK(before.empty() || before == sum, a.path, ": the ", what, " images in ", place,
          " are not those that the run began with: names, sizes or classes of some differ", remedy);
  };
  equal(then.train_checksum, now.train_checksum, "training");
  equal(then.test_checksum, now.test_checksum, "validation");
}

Description description_of(const Archive& a) {
  auto value = [&](const char* key) { return a.metadata.count(key) ? a.metadata.at(key) : ""; };
  Description d{value("architecture"), {}, value("options"), value("weights")};
  json classes = metadata_json(a, "classes");
  if (classes.is_array())
    for (const json& name : classes) {
      CHECK(name.is_primitive(), a.path,
            ": its metadata \"classes\" is not a list of names; the file is not one of rmt's or is "
            "damaged");
      d.classes.push_back(name.is_string() ? name.get<std::string>() : text(name));
    }
  return d;
}

}  // namespace rmt::train
