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

// All shadows lie in one block of memory, first the matrices, then the vectors, in the order of
// parameters(), each at a multiple of 16 bytes. So the weights of linear layers that follow each
// other, the queries, keys and values of an attention, are neighbours, and so are their biases: one
// product can take them as one matrix (ops::packed_linears).
void Module::make_shadows(DType dtype) {
  const std::vector<Entry> entries = parameters();
  if (entries.empty()) return;
  const int64_t grain = 16 / int64_t(size_of(dtype));
  auto rounded = [&](const Tensor& x) { return (x.numel() + grain - 1) / grain * grain; };
  int64_t begin = 0;
  for (const Entry& e : entries) begin += rounded(*e.tensor);
  const Tensor block = Tensor::empty({begin}, dtype, entries[0].tensor->device());
  begin = 0;
  for (bool vectors : {false, true})
    for (const Entry& e : entries) {
      const Tensor& x = *e.tensor;
      if ((x.rank() < 2) != vectors) continue;
      const Tensor copy = block.slice(begin, begin + x.numel()).view(x.shape());
      copy.copy_from(x);
      set_shadow(x, copy);
      begin += rounded(x);
    }
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
