// A module is a part of a network: parameters, which are learned, buffers, which are only saved,
// and children, which are modules again. All have names.
//
//   struct Block : Module {
//     LayerNorm& norm;
//     Linear& fc;
//     Block(int64_t C) : norm(add<LayerNorm>("norm", C)), fc(add<Linear>("fc", C, C)) {}
//     Tensor forward(const Tensor& x) { return fc.forward(norm.forward(x)); }
//   };
//
// Constructing a part registers it. So the constructor is also the list of names: a Block has
// "norm.weight", "norm.bias", "fc.weight", "fc.bias", and inside a Stage that adds it as "blocks.0"
// these become "blocks.0.norm.weight" and so on. For RMT the dotted names are the keys of the
// official state_dict (nn/rmt/README.md, "Names").
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "core/processes/processes.h"
#include "core/random.h"

namespace rmt::nn {

// What a forward pass depends on beside its input and the parameters. A model has one, which all of
// its modules see.
struct Mode {
  bool training = false;
  // The seed and the step choose the random numbers of training (drop path): the same step draws
  // the same numbers. `step` counts the optimizer steps that are done.
  uint64_t seed = 0;
  int64_t step = 0;
  // () i64, or undefined. A training step that was recorded as a GPU graph repeats its kernels with
  // the arguments of the recording; they therefore read the step from this place in GPU memory.
  Tensor step_on_gpu;
  // Where a step's images come in parts, one after the other or each in a process: the place of
  // this part's first image among them.
  int64_t first_sample = 0;
  // Whose images together are the batch of which batch norm takes the statistics in training
  // (ops/batch_norm.h); null: this process's.
  Processes* processes = nullptr;
};

// One parameter or buffer of a module or of its children.
struct Entry {
  std::string name;  // dotted path, from the module that was asked
  Tensor* tensor;    // a parameter is a leaf of the tape (autograd/tape.h), a buffer is not
  bool parameter;
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  // All parameters and buffers, in the order of PyTorch's state_dict: a module's own parameters,
  // its own buffers, then those of its children.
  std::vector<Entry> state();
  std::vector<Entry> parameters();
  int64_t parameter_count();  // numbers, not tensors
  // Is there a parameter that is not frozen (autograd/tape.h)?
  bool learns();

  // Converts every parameter and buffer of a floating-point type; values are rounded, gradients are
  // dropped.
  void to(DType dtype);
  // Moves every parameter and buffer to the device; gradients are dropped.
  void to(Device device);
  // Lays a copy in `dtype`, its shadow, beside every parameter, for ops that compute in that type
  // (autograd/tape.h, in_dtype). The optimizer keeps shadows up to date; whoever else writes into
  // parameters calls this again.
  void make_shadows(DType dtype);
  void zero_grad();
  // Fills every parameter by the rule of its layer (nn/init.h): a function of the seed and of the
  // parameter's place in state(), and of nothing else.
  void init(uint64_t seed);

  Mode& mode() { return *mode_; }

 protected:
  // These register a part under its name, which may hold dots, and return a reference that stays
  // valid as long as the module lives. A parameter begins as zeros.
  Tensor& parameter(const std::string& name, const Shape& shape);
  Tensor& buffer(const std::string& name, const Tensor& value);
  template <class M, class... Args>
  M& add(const std::string& name, Args&&... args) {
    auto child = std::make_unique<M>(std::forward<Args>(args)...);
    M& reference = *child;
    adopt(name, std::move(child));
    return reference;
  }
  // The same for a child that some models do not have: null where it is not wanted.
  template <class M, class... Args>
  M* add_if(bool wanted, const std::string& name, Args&&... args) {
    return wanted ? &add<M>(name, std::forward<Args>(args)...) : nullptr;
  }
  // Fills the module's own parameters; children are asked by themselves. Each call of random()
  // gives a new stream: call it once for each tensor.
  virtual void init_own(const std::function<Random()>& random) { (void)random; }

 private:
  // Tensors live on the heap, so that references to them survive a growing list.
  struct Own {
    std::string name;
    std::unique_ptr<Tensor> tensor;
  };
  // Makes a module a child, which from then on sees this one's Mode.
  void adopt(const std::string& name, std::unique_ptr<Module> child);
  void share(const std::shared_ptr<Mode>& mode);
  // Appends this module's entries and those below it, each name behind `prefix`.
  void collect(const std::string& prefix, std::vector<Entry>& out);
  // init() for this module and those below it; `count` numbers the random streams.
  void init_all(uint64_t seed, uint64_t& count);

  std::vector<Own> parameters_, buffers_;
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  std::shared_ptr<Mode> mode_ = std::make_shared<Mode>();
};

}  // namespace rmt::nn
