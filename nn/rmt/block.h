// One block (RMT.md 1.2.3): x += CPE(x);  x += gamma_1 attention(norm(x));  x += gamma_2
// ffn(norm(x)); the last two branches with drop path.
#pragma once
#include "nn/drop_path.h"
#include "nn/norm.h"
#include "nn/rmt/attention.h"
#include "ops/gelu.h"
#include "ops/gelu_depthwise_conv2d.h"
#include "ops/residual_layer_norm.h"

namespace rmt::nn {

// RMT.md 1.2.9: fc2(g + DW3x3(g)), g = gelu(fc1(x))
struct FeedForward : Module {
  Linear &fc1, &fc2;
  DepthwiseConv* dwconv;  // or null
  FeedForward(int64_t C, int64_t hidden, bool conv)
      : fc1(add<Linear>("fc1", C, hidden)),
        fc2(add<Linear>("fc2", hidden, C)),
        dwconv(conv ? &add<DepthwiseConv>("dwconv.conv", hidden, 3) : nullptr) {}
  Tensor forward(const Tensor& x) {  // (B, H, W, C) -> same
    const Tensor h = fc1.forward(x);
    return fc2.forward(dwconv ? ops::gelu_depthwise_conv2d(h, dwconv->weight, dwconv->bias)
                              : ops::gelu(h));
  }
};

struct Block : Module {
  Tensor *gamma_1 = nullptr, *gamma_2 = nullptr;  // LayerScale (1, 1, 1, C), or null
  LayerNorm& retention_layer_norm;
  ManhattanAttention& retention;
  LayerNorm& final_layer_norm;
  FeedForward& ffn;
  DepthwiseConv* pos;  // conditional position encoding, or null
  DropPath &drop_1, &drop_2;

  // `index` counts the blocks of the whole model; `rate` is this block's drop path.
  Block(const RmtConfig& c, int stage, int64_t index, double rate)
      : gamma_1(c.layer_scale[size_t(stage)]
                    ? &parameter("gamma_1", {1, 1, 1, c.dims[size_t(stage)]})
                    : nullptr),
        gamma_2(c.layer_scale[size_t(stage)]
                    ? &parameter("gamma_2", {1, 1, 1, c.dims[size_t(stage)]})
                    : nullptr),
        retention_layer_norm(add<LayerNorm>("retention_layer_norm", c.dims[size_t(stage)])),
        retention(add<ManhattanAttention>("retention", c, stage)),
        final_layer_norm(add<LayerNorm>("final_layer_norm", c.dims[size_t(stage)])),
        ffn(add<FeedForward>("ffn", c.dims[size_t(stage)],
                             int64_t(c.mlp_ratio[size_t(stage)] * double(c.dims[size_t(stage)])),
                             c.ffn_conv)),
        pos(c.position_conv ? &add<DepthwiseConv>("pos.conv", c.dims[size_t(stage)], 3) : nullptr),
        drop_1(add<DropPath>("drop_1", rate, 2 * index)),
        drop_2(add<DropPath>("drop_2", rate, 2 * index + 1)) {}

  Tensor forward(Tensor x, Position& position) {  // (B, H, W, C) -> same
    if (pos) x = pos->forward(x, x);
    const Tensor f = retention.forward(retention_layer_norm.forward(x), position);
    const LayerNorm& norm = final_layer_norm;
    auto [sum, normed] = ops::residual_layer_norm(
        x, f, gamma_1 ? *gamma_1 : Tensor(), drop_1.factors(x), norm.weight, norm.bias, norm.eps);
    return drop_2.forward(sum, ffn.forward(normed), gamma_2 ? *gamma_2 : Tensor());
  }

 protected:
  void init_own(const std::function<Random()>&) override {
    if (gamma_1) gamma_1->fill(1e-6), gamma_2->fill(1e-6);
  }
};

}  // namespace rmt::nn
