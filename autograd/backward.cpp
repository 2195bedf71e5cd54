#include "autograd/backward.h"

#include <unordered_map>
#include <utility>

#include "core/parallel.h"

namespace rmt {
namespace {

thread_local bool recording = true;

template <class T>
void add_into(T* sum, const T* x, int64_t n) {
  parallel_for(n, 1 << 15, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum[i] += x[i];
  });
}

// sum + x. Writes into sum's storage when nobody else holds it: the op that returned it may still share it with another input or with dy.
Tensor accumulate(Tensor sum, const Tensor& x) {
  if (!sum.defined()) return x;
  if (!sum.sole_owner()) sum = sum.clone();
  if (sum.dtype() == DType::f32)
    add_into(sum.data<float>(), x.data<float>(), x.numel());
  else if (sum.dtype() == DType::f64)
    add_into(sum.data<double>(), x.data<double>(), x.numel());
  else
    throw Error(str("backward: gradients of dtype ", sum.dtype(), " cannot be added"));
  return sum;
}

void check_gradient(const Node& node, size_t i, const Tensor& g) {
  const Node& input = *node.inputs[i];
  CHECK(g.shape() == input.shape && g.dtype() == input.dtype, "backward of ", node.op, ": gradient ", i, " is ", g.dtype(), " ", g.shape(), ", its input is ",
        input.dtype, " ", input.shape);
  CHECK(!g.node, "backward of ", node.op, ": gradient ", i, " is on the tape; backward functions must capture detached tensors");
}

// Every op node that y depends on, each after all nodes that use it (so reversed postorder of a depth-first walk).
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

Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed = std::move(inputs);
  while (!doomed.empty()) {
    std::shared_ptr<Node> n = std::move(doomed.back());
    doomed.pop_back();
    if (n && n.use_count() == 1) {  // ours is the last handle: take over its inputs before it goes
      for (auto& input : n->inputs) doomed.push_back(std::move(input));
      n->inputs.clear();
    }
  }
}

Tensor record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Backward backward) {
  y.node = nullptr;
  if (!needs_grad(inputs)) return y;
  auto node = std::make_shared<Node>();
  node->op = op;
  node->shape = y.shape();
  node->dtype = y.dtype();
  for (const Tensor& x : inputs) node->inputs.push_back(x.node);
  node->backward = std::move(backward);
  y.node = std::move(node);
  return y;
}

bool needs_grad(const std::vector<Tensor>& inputs) {
  if (!recording) return false;
  for (const Tensor& x : inputs)
    if (x.node) return true;
  return false;
}

Tensor leaf(const Tensor& x) {
  CHECK(x.defined() && is_float(x.dtype()), "leaf: only a floating-point tensor can collect a gradient");
  Tensor y = x.detach();
  y.node = std::make_shared<Node>();
  y.node->shape = y.shape();
  y.node->dtype = y.dtype();
  return y;
}

Tensor grad(const Tensor& x) {
  CHECK(x.node && !x.node->backward && !x.node->done, "grad: only leaves keep a gradient");
  return x.node->grad;
}

void set_grad(const Tensor& x, const Tensor& g) {
  CHECK(x.node && g.shape() == x.shape() && g.dtype() == x.dtype(), "set_grad: gradient ", g.shape(), " does not fit leaf ", x.shape());
  x.node->grad = g.detach();
}

void clear_grad(const Tensor& x) {
  CHECK(x.node, "clear_grad: not a leaf");
  x.node->grad = Tensor();
}

GradMode::GradMode(bool on) : before_(recording) { recording = on; }
GradMode::~GradMode() { recording = before_; }
bool GradMode::enabled() { return recording; }

void backward(const Tensor& loss) {
  CHECK(loss.numel() == 1, "backward: a loss has one element, this tensor is ", loss.shape(), "; give its upstream gradient dy as well");
  backward(loss, Tensor::full(loss.shape(), 1, loss.dtype()));
}

void backward(const Tensor& y, const Tensor& dy) {
  CHECK(y.node, "backward: this tensor depends on nothing that needs a gradient");
  CHECK(dy.shape() == y.shape() && dy.dtype() == y.dtype(), "backward: dy is ", dy.dtype(), " ", dy.shape(), ", y is ", y.dtype(), " ", y.shape());
  NoGrad off;
  std::unordered_map<Node*, Tensor> pending{{y.node.get(), dy.detach()}};
  for (Node* node : order_from(y.node.get())) {
    auto it = pending.find(node);
    if (it == pending.end()) continue;  // every path to it gave no gradient
    Tensor g = std::move(it->second);
    pending.erase(it);
    CHECK(!node->done, "backward: the gradient went through ", node->op, " before and its saved tensors are gone; run the forward again");
    if (!node->backward) {  // a leaf
      node->grad = accumulate(std::move(node->grad), g);
      continue;
    }
    Grads grads = node->backward(g);
    g = Tensor();
    node->backward = nullptr;
    node->done = true;
    CHECK(grads.size() == node->inputs.size(), "backward of ", node->op, ": ", grads.size(), " gradients for ", node->inputs.size(), " inputs");
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!node->inputs[i] || !grads[i].defined()) continue;
      check_gradient(*node, i, grads[i]);
      Tensor& sum = pending[node->inputs[i].get()];
      sum = accumulate(std::move(sum), std::exchange(grads[i], Tensor()));
    }
  }
}

}  // namespace rmt
