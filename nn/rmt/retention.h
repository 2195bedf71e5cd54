// RetNet's way to gather values, in the place of Manhattan attention: an ablation of the paper
// (nn/rmt/README.md, "Published numbers"). Nothing is a softmax; instead each head's result is
// brought to one size, and a gate that the token itself computes says how much of it passes.
//
//   y = (swish(x W_g^T + b_g) . norm(gather(q', k', v)) + LCE(v)) W_o^T + b_o
//
// q' = R q and k' = D^-1/2 R k with the model's rotation R; norm over the D channels of each head
// of each token, with nothing to learn. What gather() is, a class below says, and nn/rmt/gate.h.
#pragma once
#include "nn/rmt/attention.h"
#include "ops/attention/rotate.h"
#include "ops/layer_norm.h"
#include "ops/mul.h"
#include "ops/retention/retention.h"
#include "ops/scale.h"
#include "ops/silu.h"
#include "ops/view.h"

namespace rmt::nn {

struct GatedAttention : Attention {
  int64_t heads;
  bool with_decay, with_rotary;
  Linear &q_proj, &k_proj, &v_proj;
  DepthwiseConv* lepe;  // LCE, or null
  Linear &out_proj, &g_proj;

  GatedAttention(const RmtConfig& c, const StageConfig& s)
      : heads(s.heads),
        with_decay(c.decay),
        with_rotary(c.rotary),
        q_proj(add<Linear>("q_proj", s.channels, s.channels)),
        k_proj(add<Linear>("k_proj", s.channels, s.channels)),
        v_proj(add<Linear>("v_proj", s.channels, s.channels)),
        lepe(add_if<DepthwiseConv>(c.local_context, "lepe.conv", s.channels, 5)),
        out_proj(add<Linear>("out_proj", s.channels, s.channels)),
        g_proj(add<Linear>("g_proj", s.channels, s.channels)) {}

  Tensor forward(const Tensor& x, Position& position) override {
    const auto [q, k, v] = forward_of_three(x, q_proj, k_proj, v_proj);  // (B, H, W, C) each
    const double scale = 1 / std::sqrt(double(x.dim(3) / heads));
    const Tensor gathered =
        gather(rotated(q, position), ops::scale(rotated(k, position), scale), v, position);
    const Tensor gated = ops::mul(ops::silu(g_proj.forward(x)), norm(gathered));
    return out_proj.forward(lepe ? lepe->forward(v, gated) : gated);
  }

 protected:
  virtual Tensor gather(const Tensor& q, const Tensor& k, const Tensor& v, Position& position) = 0;

 private:
  Tensor rotated(const Tensor& x, Position& position) const {
    if (!with_rotary) return x;
    return ops::rotate(x, position.rotary(x.dim(1), x.dim(2), wide(x.dtype())));
  }
  // Mean 0 and variance 1 over the D channels of each head of each token.
  Tensor norm(const Tensor& x) {  // (B, H, W, C) -> same
    const int64_t D = x.dim(3) / heads;
    if (!one_.defined() || one_.device() != x.device() || one_.dtype() != wide(x.dtype())) {
      one_ = Tensor::full({D}, 1, wide(x.dtype()), x.device());
      zero_ = Tensor::zeros_like(one_);
    }
    const Tensor of_heads = ops::view(x, {x.dim(0), x.dim(1), x.dim(2), heads, D});
    return ops::view(ops::layer_norm(of_heads, one_, zero_, 1e-5), x.shape());
  }
  Tensor one_, zero_;  // (D), made once: a recorded GPU graph goes on reading them where they lie
};

// Causal retention over the L = H W tokens in raster order: each token gathers from those above it
// and to its left alone, the whole map whatever the stage says of axes.
struct Retention : GatedAttention {
  ops::RetentionForm form;
  int64_t chunk;

  Retention(const RmtConfig& c, const StageConfig& s)
      : GatedAttention(c, s), form(c.retention_form), chunk(c.retention_chunk) {}

 protected:
  Tensor gather(const Tensor& q, const Tensor& k, const Tensor& v, Position& position) override {
    const Tensor& decay = position.decay;  // (N)
    if (!with_decay && (no_decay_.device() != decay.device() ||
                        no_decay_.dtype() != decay.dtype() || !no_decay_.defined()))
      no_decay_ = Tensor::zeros_like(decay);
    return ops::retention(q, k, v, with_decay ? decay : no_decay_, {heads, form, chunk});
  }

 private:
  Tensor no_decay_;  // (N): zeros
};

}  // namespace rmt::nn
