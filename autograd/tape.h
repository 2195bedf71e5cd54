// The tape: which tensor came from which by what. An op computes its result y as if there were no
// gradients, then calls record() with the function that turns dy into one gradient per input. Ops
// are unknown here; the engine (backward.h) only walks.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace rmt {

// The gradients of an op's inputs, one each, of the input's shape and dtype; undefined where none
// flows.
using Grads = std::vector<Tensor>;
// dy, of y's shape and dtype -> one gradient per input. It captures detached tensors only: one that
// held y itself would keep the tape alive for ever.
using Backward = std::function<Grads(const Tensor& dy)>;

// A place on the tape: a leaf (a parameter, an input under study), which collects a gradient, or
// the result of an op, which passes it on.
struct Node {
  const char* op = "leaf";
  Shape shape;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  // Null where an input needs no gradient.
  std::vector<std::shared_ptr<Node>> inputs;
  // Empty for a leaf, and for an op once the gradient went through it.
  Backward backward;
  bool done = false;  // the gradient went through: a second pass is an error

  // Leaves only.
  Tensor grad;
  Tensor shadow;  // in_dtype()
  bool frozen = false;

  // Lets long chains of nodes go without recursion.
  ~Node();
};

// Puts y on the tape and returns it; does nothing when no input needs a gradient or recording is
// off. Second order is not supported: gradients computed inside a backward are not recorded.
Tensor record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Backward backward);

// The same for an op with several results ys: backward gets a dy for each, undefined where none
// came, and is called once.
using BackwardMany = std::function<Grads(const std::vector<Tensor>& dys)>;
std::vector<Tensor> record_many(const char* op, std::vector<Tensor> ys,
                                const std::vector<Tensor>& inputs, BackwardMany backward);

// Would record() record an op on these inputs? Lets an op skip saving what only its backward needs.
bool needs_grad(const std::vector<Tensor>& inputs);
inline bool needs_grad(const Tensor& x) { return needs_grad(std::vector<Tensor>{x}); }

// A leaf that collects a gradient: x's storage under a new handle.
Tensor leaf(const Tensor& x);
// The gradient collected by a leaf; undefined before the first backward.
Tensor grad(const Tensor& leaf);
void set_grad(const Tensor& leaf, const Tensor& g);
void clear_grad(const Tensor& leaf);

// A frozen leaf is a constant to every op: it collects no gradient, and nothing is recorded or kept
// for it. Its shadow stays.
void freeze(const Tensor& leaf, bool frozen = true);
bool is_frozen(const Tensor& leaf);

// x in another dtype, off the tape: the copy that set_shadow() left beside a leaf, or one made now.
// Ops that compute in bf16 read the f32 weights so. Whoever writes into a leaf refreshes its shadow
// (the optimizer's kernel does, in the same pass), or clears it with an undefined tensor.
Tensor in_dtype(const Tensor& x, DType dtype);
void set_shadow(const Tensor& leaf, const Tensor& copy);
Tensor shadow(const Tensor& x);           // that copy; undefined where there is none
void refresh_shadow(const Tensor& leaf);  // the leaf's numbers into it, where there is one

// While a GradMode(false) lives, this thread records nothing: evaluation. While a GradMode(true)
// lives, it records even inside a NoGrad: a forward pass that is run again (checkpoint.h).
class GradMode {
 public:
  explicit GradMode(bool on);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;
  static bool enabled();

 private:
  bool before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

}  // namespace rmt
