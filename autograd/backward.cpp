#include "autograd/backward.h"

#include <unordered_map>
#include <utility>

#include "core/cuda/device.h"

namespace rmt {
namespace {

thread_local bool recording = true;

// sum + x, in sum's storage where nobody else holds that. Otherwise into a copy, since the op that
// returned it may have given the same storage to another input, or have passed on its dy.
Tensor accumulate(Tensor sum, const Tensor& x) {
  if (!sum.defined()) return x;
  if (!sum.sole_owner()) sum = sum.clone();
  sum.add_from(x);
  return sum;
}

// RMT_DEBUG=1: the first op with a result that is not finite is an Error with its name.
void check_finite(const char* what, const char* op, const Tensor& x) {
  if (debugging())
    CHECK(x.all_finite(), what, op, ": a result of shape ", x.shape(), " on ", x.device(),
          " is not finite");
}

void check_gradient(const Node& node, size_t i, const Tensor& g) {
  const Node& input = *node.inputs[i];
  CHECK(g.shape() == input.shape && g.dtype() == input.dtype, "backward of ", node.op,
        ": gradient ", i, " is ", g.dtype(), " ", g.shape(), ", its input is ", input.dtype, " ",
        input.shape);
  CHECK(g.device() == input.device, "backward of ", node.op, ": gradient ", i, " is on ",
        g.device(), ", its input on ", input.device);
  CHECK(!g.node, "backward of ", node.op, ": gradient ", i,
        " is on the tape; backward functions must capture detached tensors");
}

// Every op node that y depends on, each after all nodes that use it (so reversed postorder of a
// depth-first walk).
std::vector<Node*> order_from(Node* y) {
  std::vector<Node*> postorder;
  std::unordered_map<Node*, bool> seen{{y, true}};
  std::vector<std::pair<Node*, size_t>> stack{{y, 0}};
  while (!stack.empty()) {
    auto& [node, next] = stack.back();
    if (next == node->inputs.size()) {
      postorder.push_back(node);
      stack.pop_back();
    } else if (Node* input = node->inputs[next++].get(); input && !seen[input]) {
      seen[input] = true;
      stack.push_back({input, 0});
    }
  }
  return {postorder.rbegin(), postorder.rend()};
}

}  // namespace

// Every input that only this node holds goes with it, and so on down the tape. The list takes their
// inputs over before they go: destructors that call each other would overflow the stack.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed = std::move(inputs);
  while (!doomed.empty()) {
    std::shared_ptr<Node> n = std::move(doomed.back());
    doomed.pop_back();
    if (n && n.use_count() == 1) {  // ours is the last handle
      for (auto& input : n->inputs) doomed.push_back(std::move(input));
      n->inputs.clear();
    }
  }
}

Tensor record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Backward backward) {
  y.node = nullptr;
  check_finite("", op, y);
  if (!needs_grad(inputs)) return y;
  auto node = std::make_shared<Node>();
  node->op = op;
  node->shape = y.shape();
  node->dtype = y.dtype();
  node->device = y.device();
  for (const Tensor& x : inputs) node->inputs.push_back(is_frozen(x) ? nullptr : x.node);
  node->backward = std::move(backward);
  y.node = std::move(node);
  return y;
}

// Each result is an op of its own, whose backward lays its dy down and sends an empty gradient on
// to a node that they share; this one, which the engine comes to after all of them, takes the dys
// up.
std::vector<Tensor> record_many(const char* op, std::vector<Tensor> ys,
                                const std::vector<Tensor>& inputs, BackwardMany backward) {
  auto dys = std::make_shared<std::vector<Tensor>>(ys.size());
  const Tensor shared =
      record(op, Tensor::empty({0}), inputs, [dys, backward = std::move(backward)](const Tensor&) {
        return backward(std::exchange(*dys, std::vector<Tensor>(dys->size())));
      });
  for (size_t i = 0; i < ys.size(); ++i)
    ys[i] =
        record(op, ys[i], {shared}, [dys, i, token = shared.detach()](const Tensor& dy) -> Grads {
          (*dys)[i] = dy;
          return {token};
        });
  return ys;
}

bool needs_grad(const std::vector<Tensor>& inputs) {
  if (!recording) return false;
  for (const Tensor& x : inputs)
    if (x.node && !x.node->frozen) return true;
  return false;
}

Tensor leaf(const Tensor& x) {
  CHECK(x.defined() && is_float(x.dtype()),
        "leaf: only a floating-point tensor can collect a gradient");
  Tensor y = x.detach();
  y.node = std::make_shared<Node>();
  y.node->shape = y.shape();
  y.node->dtype = y.dtype();
  y.node->device = y.device();
  return y;
}

Tensor grad(const Tensor& x) {
  CHECK(x.node && !x.node->backward && !x.node->done,
        "grad: only leaves keep a gradient; make one by leaf()");
  return x.node->grad;
}

void set_grad(const Tensor& x, const Tensor& g) {
  CHECK(x.node && g.shape() == x.shape() && g.dtype() == x.dtype() && g.device() == x.device(),
        "set_grad: gradient ", g.dtype(), " ", g.shape(), " on ", g.device(), " does not fit leaf ",
        x.dtype(), " ", x.shape(), " on ", x.device());
  x.node->grad = g.detach();
}

void clear_grad(const Tensor& x) {
  CHECK(x.node, "clear_grad: only leaves have a gradient; make one by leaf()");
  x.node->grad = Tensor();
}

void freeze(const Tensor& x, bool frozen) {
  CHECK(x.node && !x.node->backward, "freeze: only a leaf can be frozen");
  x.node->frozen = frozen;
  x.node->grad = Tensor();
}

bool is_frozen(const Tensor& x) { return x.node && x.node->frozen; }

Tensor in_dtype(const Tensor& x, DType dtype) {
  if (x.node && x.node->shadow.defined() && x.node->shadow.dtype() == dtype) return x.node->shadow;
  return x.to(dtype);
}

void set_shadow(const Tensor& x, const Tensor& copy) {
  CHECK(x.node && (!copy.defined() || (copy.shape() == x.shape() && copy.device() == x.device())),
        "set_shadow: ", copy.shape(), " is no copy of leaf ", x.shape());
  x.node->shadow = copy.detach();
}

Tensor shadow(const Tensor& x) { return x.node ? x.node->shadow : Tensor(); }

void refresh_shadow(const Tensor& x) {
  if (const Tensor copy = shadow(x); copy.defined()) copy.copy_from(x);
}

GradMode::GradMode(bool on) : before_(recording) { recording = on; }
GradMode::~GradMode() { recording = before_; }
bool GradMode::enabled() { return recording; }

void backward(const Tensor& loss) { backward(loss, LeafComplete()); }

void backward(const Tensor& loss, const LeafComplete& complete) {
  CHECK(loss.numel() == 1, "backward: a loss has one element, this tensor is ", loss.shape(),
        "; give its upstream gradient dy as well");
  backward(loss, Tensor::full(loss.shape(), 1, loss.dtype(), loss.device()), complete);
}

// Walks the tape from y. `pending` holds, for every node that was reached, the sum of the gradients
// that came from its users; when its turn comes they all have, and the sum is complete. What has
// been used is let go at once, to save memory.
void backward(const Tensor& y, const Tensor& dy, const LeafComplete& complete) {
  CHECK(y.node,
        "backward: this tensor depends on nothing that needs a gradient; compute it from a leaf() "
        "or a parameter, and not within a NoGrad");
  CHECK(dy.shape() == y.shape() && dy.dtype() == y.dtype(), "backward: dy is ", dy.dtype(), " ",
        dy.shape(), ", y is ", y.dtype(), " ", y.shape());
  NoGrad off;
  std::unordered_map<Node*, Tensor> pending{{y.node.get(), dy.detach()}};
  for (Node* node : order_from(y.node.get())) {
    auto it = pending.find(node);
    if (it == pending.end()) continue;  // every path to it gave no gradient
    Tensor g = std::move(it->second);
    pending.erase(it);
    CHECK(!node->done, "backward: the gradient went through ", node->op,
          " before and its saved tensors are gone; run the forward again");
    if (!node->backward) {  // a leaf
      node->grad = accumulate(std::move(node->grad), std::exchange(g, Tensor()));
      if (complete) complete(*node);
      continue;
    }
    Grads grads = node->backward(g);
    g = Tensor();
    node->backward = nullptr;
    node->done = true;
    CHECK(grads.size() == node->inputs.size(), "backward of ", node->op, ": ", grads.size(),
          " gradients for ", node->inputs.size(), " inputs");
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!node->inputs[i] || !grads[i].defined()) continue;
      check_gradient(*node, i, grads[i]);
      check_finite("backward of ", node->op, grads[i]);
      Tensor& sum = pending[node->inputs[i].get()];
      // grads gives its handle up, so that the sum may become the only owner.
      sum = accumulate(std::move(sum), std::exchange(grads[i], Tensor()));
    }
  }
}

}  // namespace rmt
