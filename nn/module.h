// Module: parameters, buffers and children under names. Constructing a child registers it, so the
// code that builds a network is also the list of its names, and the dotted path of a parameter
// equals its key in the official state_dict (RMT.md 1.4).
//
//   struct Block : Module {
//     LayerNorm& norm;  Linear& fc;
//     Block(int64_t C) : norm(add<LayerNorm>("norm", C, 1e-6)), fc(add<Linear>("fc", C, C)) {}
//     Tensor forward(const Tensor& x) { return fc.forward(norm.forward(x)); }
//   };
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "core/random.h"

namespace rmt::nn {

// What a forward pass depends on beside its input and the parameters. One per model, seen by all of
// its modules.
struct Mode {
  bool training = false;
  uint64_t seed = 0;  // of the random numbers drawn in training (drop path)
  int64_t step = 0;   // optimizer steps done: the same step draws the same numbers
  Tensor
      step_on_gpu;  // () i64, read instead of `step` by kernels that a graph repeats; or undefined
  int64_t first_sample =
      0;  // place of this batch's first image in the step's batch (when that is cut into parts)
};

struct Entry {
  std::string name;  // dotted path from the module asked
  Tensor* tensor;    // parameters are leaves of the tape (autograd/tape.h), buffers are not
  bool parameter;
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  // Parameters and buffers in the order of PyTorch's state_dict: a module's own parameters, its own
  // buffers, then its children's.
  std::vector<Entry> state();
  std::vector<Entry> parameters();
  int64_t parameter_count();
  // Is one of the parameters not frozen (autograd/tape.h)?
  bool learns();

  // Converts every floating-point parameter and buffer (values are rounded; gradients are dropped).
  void to(DType dtype);
  // Moves every parameter and buffer (gradients are dropped).
  void to(Device device);
  // Lays a copy in `dtype` beside every parameter, for ops that compute in it (autograd/tape.h,
  // in_dtype). Call it again after writing into parameters; the optimizer keeps the copies up to
  // date by itself.
  void make_shadows(DType dtype);
  void zero_grad();
  // Fills every parameter by its layer's own rule (RMT.md 1.3): a function of (seed, place in
  // state()) alone.
  void init(uint64_t seed);

  Mode& mode() { return *mode_; }

 protected:
  // Names may hold dots. The reference stays valid as long as the module lives.
  Tensor& parameter(const std::string& name, const Shape& shape);  // zeros
  Tensor& buffer(const std::string& name, const Tensor& value);
  template <class M, class... Args>
  M& add(const std::string& name, Args&&... args) {
    auto child = std::make_unique<M>(std::forward<Args>(args)...);
    M& reference = *child;
    adopt(name, std::move(child));
    return reference;
  }
  // The layer's own initialisation; children are initialised by themselves. random() is a fresh
  // stream a tensor.
  virtual void init_own(const std::function<Random()>& random) { (void)random; }

 private:
  struct Own {
    std::string name;
    std::unique_ptr<Tensor> tensor;
  };
  void adopt(const std::string& name, std::unique_ptr<Module> child);
  void share(const std::shared_ptr<Mode>& mode);
  void collect(const std::string& prefix, std::vector<Entry>& out);
  void init_all(uint64_t seed, uint64_t& count);

  std::vector<Own> parameters_, buffers_;
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  std::shared_ptr<Mode> mode_ = std::make_shared<Mode>();
};

}  // namespace rmt::nn
