// One block (nn/rmt/README.md, "The block"): three residual branches, one after the other.
//
//   x <- x + DWConv3x3(x)                          where am I (CPE)
//   x <- x + s_1 gamma_1 attention(norm(x))        what is elsewhere
//   x <- x + s_2 gamma_2 ffn(norm(x))              what follows from it, for each token
#pragma once
#include "nn/drop_path.h"
#include "nn/norm.h"
#include "nn/rmt/gate.h"
#include "nn/rmt/retention.h"
#include "ops/gelu.h"
#include "ops/residual_add.h"
#include "ops/residual_layer_norm.h"

namespace rmt::nn {

// fc2(g + DWConv3x3(g)) with g = gelu(fc1(x)), F hidden channels.
struct FeedForward : Module {
  Linear &fc1, &fc2;
  DepthwiseConv* dwconv;  // or null
  FeedForward(int64_t C, int64_t F, bool conv)
      : fc1(add<Linear>("fc1", C, F)),
        fc2(add<Linear>("fc2", F, C)),
        dwconv(add_if<DepthwiseConv>(conv, "dwconv.conv", F, 3)) {}
  Tensor forward(const Tensor& x) {        // (B, H, W, C) -> same
    const Tensor hidden = fc1.forward(x);  // (B, H, W, F)
    return fc2.forward(dwconv ? dwconv->forward_of_gelu(hidden) : ops::gelu(hidden));
  }
};

// x, and norm.forward(x): the beginning of a branch.
inline std::array<Tensor, 2> norm_beside(const Tensor& x, const LayerNorm& norm) {
  return ops::layer_norm_beside(x, norm.weight, norm.bias, norm.eps);
}

// sum = x + s gamma f and normed = norm.forward(sum), in one pass over memory: the end of a branch
// and the beginning of the next.  x f (B, H, W, C), gamma C elements or undefined, s (B) likewise
inline ops::ResidualNorm add_and_norm(const Tensor& x, const Tensor& f, const Tensor& gamma,
                                      const Tensor& s, const LayerNorm& norm) {
  return ops::residual_layer_norm(x, f, gamma, s, norm.weight, norm.bias, norm.eps);
}

struct Block : Module {
  // LayerScale, (1, 1, 1, C) each, or null. Registered first, as in the official state_dict.
  Tensor *gamma_1 = nullptr, *gamma_2 = nullptr;
  LayerNorm& retention_layer_norm;
  Attention& retention;
  LayerNorm& final_layer_norm;
  FeedForward& ffn;
  DepthwiseConv* pos;  // CPE, the conditional position encoding, or null
  DropPath& drop;

  // `index` counts the blocks of the whole model from 0.
  Block(const RmtConfig& c, const StageConfig& s, int64_t index)
      : gamma_1(s.layer_scale ? &parameter("gamma_1", {1, 1, 1, s.channels}) : nullptr),
        gamma_2(s.layer_scale ? &parameter("gamma_2", {1, 1, 1, s.channels}) : nullptr),
        retention_layer_norm(add<LayerNorm>("retention_layer_norm", s.channels)),
        retention(add_attention(c, s)),
        final_layer_norm(add<LayerNorm>("final_layer_norm", s.channels)),
        ffn(add<FeedForward>("ffn", s.channels, s.hidden(), c.ffn_conv)),
        pos(add_if<DepthwiseConv>(c.position_conv, "pos.conv", s.channels, 3)),
        drop(add<DropPath>("drop", c.drop_path_of(index), index)) {}

  Tensor forward(Tensor x, Position& position) {  // (B, H, W, C) -> same
    if (pos) x = pos->forward(x, x);
    const auto [trunk, normed_1] = norm_beside(x, retention_layer_norm);
    const Tensor f = retention.forward(normed_1, position);
    const auto [s_1, s_2] = drop.factors(x);
    const auto [sum, normed_2] = add_and_norm(trunk, f, value(gamma_1), s_1, final_layer_norm);
    return ops::residual_add(sum, ffn.forward(normed_2), value(gamma_2), s_2);
  }

 protected:
  void init_own(const std::function<Random()>&) override {
    if (gamma_1) gamma_1->fill(1e-6);
    if (gamma_2) gamma_2->fill(1e-6);
  }

 private:
  Attention& add_attention(const RmtConfig& c, const StageConfig& s) {
    switch (c.attention) {
      case AttentionForm::manhattan: return add<ManhattanAttention>("retention", c, s);
      case AttentionForm::gate: return add<GatedManhattan>("retention", c, s);
      case AttentionForm::retention: return add<Retention>("retention", c, s);
    }
    throw Error("model: unknown form of attention");
  }
  static Tensor value(const Tensor* gamma) { return gamma ? *gamma : Tensor(); }
};

}  // namespace rmt::nn
