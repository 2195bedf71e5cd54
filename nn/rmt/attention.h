// Manhattan self-attention (nn/rmt/README.md, "Attention"): each token gathers the values of
// others, more from those that its query asks for and that are near.
//
//   y = (A v + LCE(v)) W_o^T + b_o        A over the whole map, or along W and then along H
#pragma once
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/rmt/position.h"
#include "ops/attention/packed_attention.h"

namespace rmt::nn {

// What a block calls; nn/rmt/retention.h and nn/rmt/gate.h have others.
struct Attention : Module {
  virtual Tensor forward(const Tensor& x, Position& position) = 0;  // (B, H, W, C) -> same
};

struct ManhattanAttention : Attention {
  int64_t heads;
  bool decomposed, with_decay, with_rotary;
  ops::DecayMode decay_mode;
  Linear &q_proj, &k_proj, &v_proj;
  DepthwiseConv* lepe;  // LCE, the local context enhancement, or null
  Linear& out_proj;

  ManhattanAttention(const RmtConfig& c, const StageConfig& s)
      : heads(s.heads),
        decomposed(s.decomposed),
        with_decay(c.decay),
        with_rotary(c.rotary),
        decay_mode(c.decay_mode),
        q_proj(add<Linear>("q_proj", s.channels, s.channels)),
        k_proj(add<Linear>("k_proj", s.channels, s.channels)),
        v_proj(add<Linear>("v_proj", s.channels, s.channels)),
        lepe(add_if<DepthwiseConv>(c.local_context, "lepe.conv", s.channels, 5)),
        out_proj(add<Linear>("out_proj", s.channels, s.channels)) {}

  Tensor forward(const Tensor& x, Position& position) override {
    if (const ops::PackedOptions o{heads, decomposed, decay_mode}; ops::packs(x, o))
      return out_proj.forward(forward_packed(x, position, o));
    const auto [q, k, v] = forward_of_three(x, q_proj, k_proj, v_proj);  // (B, H, W, C) each
    const Tensor gathered =
        decomposed ? attend(q, k, attend(q, k, v, ops::Axis::W, position), ops::Axis::H, position)
                   : attend(q, k, v, ops::Axis::both, position);
    return out_proj.forward(lepe ? lepe->forward(v, gathered) : gathered);
  }

 private:
  // y_i = sum_j A_ij v_j over the tokens j on the axis of token i.
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, ops::Axis axis,
                Position& position) {
    return ops::manhattan_attention(q, k, v, decay(position), rotary(position, q),
                                    {heads, axis, decay_mode});
  }
  // A v + LCE(v) by one op, where a GPU has kernels for it.
  Tensor forward_packed(const Tensor& x, Position& position, const ops::PackedOptions& o) {
    const Tensor qkv = packed_of_three(x, q_proj, k_proj, v_proj);  // (B, H, W, 3C)
    return ops::packed_attention(qkv, decay(position), rotary(position, x),
                                 lepe ? lepe->weight : Tensor(), lepe ? lepe->bias : Tensor(), o);
  }
  Tensor decay(Position& position) const { return with_decay ? position.decay : Tensor(); }
  Tensor rotary(Position& position, const Tensor& x) const {
    return with_rotary ? position.rotary(x.dim(1), x.dim(2), wide(x.dtype())) : Tensor();
  }
};

}  // namespace rmt::nn
