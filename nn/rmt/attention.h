// Manhattan self-attention (RMT.md 1.2.4-1.2.8): y = W_o (A v + LCE(v)), A over the whole map, or
// decomposed: along W, then along H on the result.
#pragma once
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/rmt/position.h"
#include "ops/attention/manhattan_attention.h"
#include "ops/linear.h"

namespace rmt::nn {

struct ManhattanAttention : Module {
  int64_t heads;
  bool decomposed, with_decay, with_rotary;
  ops::DecayMode decay_mode;
  Linear &q_proj, &k_proj, &v_proj;
  DepthwiseConv* lepe;  // local context enhancement, or null
  Linear& out_proj;

  ManhattanAttention(const RmtConfig& c, int stage)
      : heads(c.heads[size_t(stage)]),
        decomposed(c.decomposed[size_t(stage)]),
        with_decay(c.decay),
        with_rotary(c.rotary),
        decay_mode(c.decay_mode),
        q_proj(add<Linear>("q_proj", c.dims[size_t(stage)], c.dims[size_t(stage)])),
        k_proj(add<Linear>("k_proj", c.dims[size_t(stage)], c.dims[size_t(stage)])),
        v_proj(add<Linear>("v_proj", c.dims[size_t(stage)], c.dims[size_t(stage)])),
        lepe(c.local_context ? &add<DepthwiseConv>("lepe.conv", c.dims[size_t(stage)], 5)
                             : nullptr),
        out_proj(add<Linear>("out_proj", c.dims[size_t(stage)], c.dims[size_t(stage)])) {}

  Tensor forward(const Tensor& x, Position& position) {  // (B, H, W, C) -> same
    const std::vector<Tensor> qkv = ops::linears(x, {q_proj.weight, k_proj.weight, v_proj.weight},
                                                 {q_proj.bias, k_proj.bias, v_proj.bias});
    const Tensor &q = qkv[0], &k = qkv[1], &v = qkv[2];
    Tensor decay = with_decay ? position.decay : Tensor();
    Tensor rotary = with_rotary ? position.rotary(x.dim(1), x.dim(2), wide(x.dtype())) : Tensor();
    auto attend = [&](const Tensor& values, ops::Axis axis) {
      return ops::manhattan_attention(q, k, values, decay, rotary, {heads, axis, decay_mode});
    };
    Tensor y =
        decomposed ? attend(attend(v, ops::Axis::W), ops::Axis::H) : attend(v, ops::Axis::both);
    return out_proj.forward(lepe ? lepe->forward(v, y) : y);
  }
};

}  // namespace rmt::nn
