// What the transformers of this folder share: the block with a layer norm before each of its two
// branches, whatever the attention is, and how the blocks of a model follow each other.
//
//   x <- x + s_1 attention(norm1(x))
//   x <- x + s_2 mlp(norm2(x))            s: drop path (nn/drop_path.h)
#pragma once
#include "autograd/checkpoint.h"
#include "nn/rmt/block.h"

namespace rmt::nn {

// One block of `blocks`, with the number `index` from 0.
struct BlockOptions {
  int64_t channels = 0, heads = 0;
  double mlp_ratio = 4;  // hidden channels of the feed-forward network, over channels
  double eps = 1e-6;     // of the norms
  double drop_path = 0;  // of the last block; it grows linearly from 0 at the first
  int64_t index = 0, blocks = 1;

  double own_drop_path() const {
    return blocks > 1 ? drop_path * double(index) / double(blocks - 1) : 0;
  }
  int64_t hidden() const { return int64_t(mlp_ratio * double(channels)); }
};

// Attention is a module with forward(x) -> same shape; its constructor takes channels, heads and
// the `more` that the block is given.
template <class Attention>
struct TransformerBlock : Module {
  LayerNorm& norm1;
  Attention& attn;
  LayerNorm& norm2;
  FeedForward& mlp;
  DropPath& drop;

  template <class... More>
  explicit TransformerBlock(const BlockOptions& o, More... more)
      : norm1(add<LayerNorm>("norm1", o.channels, o.eps)),
        attn(add<Attention>("attn", o.channels, o.heads, more...)),
        norm2(add<LayerNorm>("norm2", o.channels, o.eps)),
        mlp(add<FeedForward>("mlp", o.channels, o.hidden(), false)),
        drop(add<DropPath>("drop", o.own_drop_path(), o.index)) {}

  Tensor forward(const Tensor& x) {  // (B, ..., C) -> same
    const Tensor f = attn.forward(norm1.forward(x));
    const auto [s_1, s_2] = drop.factors(x);
    const auto [sum, normed] = add_and_norm(x, f, {}, s_1, norm2);
    return ops::residual_add(sum, mlp.forward(normed), {}, s_2);
  }
};

// f(x), the forward pass of a block. With `recompute` only x is kept of it for the backward pass.
template <class F>
Tensor through(Module& block, F f, const Tensor& x, bool recompute) {
  return recompute && (needs_grad(x) || block.learns()) ? checkpoint(f, x) : f(x);
}

// x through all of the blocks.
template <class Block>
Tensor through(const std::vector<Block*>& blocks, Tensor x, bool recompute) {
  for (Block* block : blocks)
    x = through(
        *block, [block](const Tensor& in) { return block->forward(in); }, x, recompute);
  return x;
}

}  // namespace rmt::nn
