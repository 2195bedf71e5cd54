// A module's lists of named tensors and children, and the walks over them: everything that is done
// to all of a model's tensors (moving, converting, saving, learning) goes through state().
#include "nn/module.h"

namespace rmt::nn {

Tensor& Module::parameter(const std::string& name, const Shape& shape) {
  parameters_.push_back({name, std::make_unique<Tensor>(leaf(Tensor::zeros(shape)))});
  return *parameters_.back().tensor;
}

Tensor& Module::buffer(const std::string& name, const Tensor& value) {
  buffers_.push_back({name, std::make_unique<Tensor>(value.detach())});
  return *buffers_.back().tensor;
}

void Module::adopt(const std::string& name, std::unique_ptr<Module> child) {
  child->share(mode_);
  children_.emplace_back(name, std::move(child));
}

// A child takes part in its parent's Mode, and so does all that is below it.
void Module::share(const std::shared_ptr<Mode>& mode) {
  mode_ = mode;
  for (auto& [name, child] : children_) child->share(mode);
}

void Module::collect(const std::string& prefix, std::vector<Entry>& out) {
  for (Own& own : parameters_) out.push_back({prefix + own.name, own.tensor.get(), true});
  for (Own& own : buffers_) out.push_back({prefix + own.name, own.tensor.get(), false});
  for (auto& [name, child] : children_) child->collect(prefix + name + ".", out);
}

std::vector<Entry> Module::state() {
  std::vector<Entry> out;
  collect("", out);
  return out;
}

std::vector<Entry> Module::parameters() {
  std::vector<Entry> out;
  for (Entry& e : state())
    if (e.parameter) out.push_back(std::move(e));
  return out;
}

int64_t Module::parameter_count() {
  int64_t n = 0;
  for (const Entry& e : parameters()) n += e.tensor->numel();
  return n;
}

bool Module::learns() {
  for (const Entry& e : parameters())
    if (!is_frozen(*e.tensor)) return true;
  return false;
}

// A leaf for a parameter's new values, frozen as it was.
static Tensor moved(const Tensor& parameter, const Tensor& values) {
  Tensor x = leaf(values);
  freeze(x, is_frozen(parameter));
  return x;
}

void Module::to(DType dtype) {
  for (Entry& e : state()) {
    if (!is_float(e.tensor->dtype())) continue;
    *e.tensor = e.parameter ? moved(*e.tensor, e.tensor->to(dtype)) : e.tensor->to(dtype);
  }
}

void Module::to(Device device) {
  for (Entry& e : state())
    *e.tensor = e.parameter ? moved(*e.tensor, e.tensor->to(device)) : e.tensor->to(device);
}

void Module::make_shadows(DType dtype) {
  for (Entry& e : parameters()) set_shadow(*e.tensor, e.tensor->to(dtype));
}

void Module::zero_grad() {
  for (Entry& e : parameters()) clear_grad(*e.tensor);
}

void Module::init(uint64_t seed) {
  uint64_t count = 0;
  init_all(seed, count);
}

// `count` numbers the streams of random numbers along the walk.
void Module::init_all(uint64_t seed, uint64_t& count) {
  init_own([&] { return Random(seed, Purpose::init, count++); });
  for (auto& [name, child] : children_) child->init_all(seed, count);
}

}  // namespace rmt::nn
