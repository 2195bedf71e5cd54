// The engine: walks the tape from a result back to the leaves.
#pragma once
#include "autograd/tape.h"

namespace rmt {

// Adds d loss / d leaf into grad(leaf) of every leaf that loss depends on. loss has one element.
// The tape behind it is freed as the walk passes. Throws, naming the op, when a backward returns
// the wrong number of gradients, a wrong shape or dtype, or was already used.
void backward(const Tensor& loss);
// The same, and `complete` is called with each leaf as soon as its gradient is whole: first those
// near the loss, while the walk goes on. Leaves that no gradient reaches are passed over. All runs
// of one program call it in one order. It may read and replace the leaf's gradient.
using LeafComplete = std::function<void(const Node& leaf)>;
void backward(const Tensor& loss, const LeafComplete& complete);
// The same from any tensor, with its upstream gradient dy (same shape and dtype as y).
void backward(const Tensor& y, const Tensor& dy, const LeafComplete& complete = nullptr);

}  // namespace rmt
