// The RMT family as data: a model is a literal of RmtConfig, and every part that the paper's
// ablations take out is a field of it (nn/rmt/README.md, "The models").
//
// A new switch touches three places: the field here, the module that acts on it (and cost.cpp, if
// it changes how much is computed), and its row in the table of settings (train/settings.def).
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/attention/manhattan_attention.h"
#include "ops/retention/retention.h"

namespace rmt::nn {

struct StageConfig {
  int64_t channels = 0;  // C
  int64_t blocks = 0;
  int64_t heads = 0;         // N, each with C / N channels
  double mlp_ratio = 0;      // hidden channels of the feed-forward network, over C
  double decay_range = 0;    // b - a: gamma of head i is 1 - 2^(-a - (b - a) i / N)
  bool decomposed = false;   // attention along the rows, then the columns; else over the whole map
  bool layer_scale = false;  // branches scaled by the learned gamma_1, gamma_2
  double decay_first = 2;    // a

  int64_t hidden() const { return int64_t(mlp_ratio * double(channels)); }
};

// What a block does with queries, keys and values.
enum class AttentionForm {
  manhattan,  // the model's: softmax with Manhattan decay (nn/rmt/attention.h)
  gate,       // the same without the softmax, and RetNet's norm and gate behind it (nn/rmt/gate.h)
  retention,  // RetNet's retention over the tokens in raster order (nn/rmt/retention.h)
};

// What the second classifier of a model that is trained with token labels looks at
// (data/labels/README.md). It gives logits to every token of the last map.
enum class TokenHead {
  none,       // there is no such classifier
  tokens,     // the last stage's tokens, C4 channels: RMT-B* and RMT-L*
  projected,  // those that are pooled, `projection` channels: RMT-S* as it was published
};

struct RmtConfig {
  std::string name;
  std::array<StageConfig, 4> stages;
  double drop_path = 0;  // of the last block; it grows linearly from 0 at the first
  int64_t num_classes = 1000;
  // Channels of the layer before the pooling; 0: there is none, as in the first release.
  int64_t projection = 1024;
  TokenHead token_head = TokenHead::none;

  // What the ablations switch (nn/rmt/README.md, "Published numbers").
  ops::DecayMode decay_mode = ops::DecayMode::log_additive;
  AttentionForm attention = AttentionForm::manhattan;
  // Of AttentionForm::retention; all forms compute the same.
  ops::RetentionForm retention_form = ops::RetentionForm::chunkwise;
  int64_t retention_chunk = 49;  // tokens
  bool decay = true;             // off: vanilla attention along the same axes
  bool rotary = true;            // the rotation of q and k
  bool local_context = true;     // LCE: a depthwise 5x5 on v, added to the attention
  bool position_conv = true;     // CPE: a depthwise 3x3 with its residual before each block
  bool ffn_conv = true;   // a depthwise 3x3 with its residual inside the feed-forward network
  bool conv_stem = true;  // off: one 4x4 convolution of stride 4, then batch norm

  // Keep only each block's input for the backward pass, and compute the block again there: less
  // memory for a second forward pass.
  bool recompute = false;

  int64_t blocks() const;  // of all stages
  // Of the block with this number, counted from 0 over all stages: drop_path i / (blocks() - 1).
  double drop_path_of(int64_t block) const;
};

// One field of every stage, as in per_stage(config, &StageConfig::channels).
template <class T>
std::array<T, 4> per_stage(const RmtConfig& c, T StageConfig::*field) {
  return {c.stages[0].*field, c.stages[1].*field, c.stages[2].*field, c.stages[3].*field};
}

// rmt_t, rmt_s, rmt_b, rmt_l of the paper and rmt_n, our own for small images and CPUs. Error for
// another name, listing these.
RmtConfig rmt_config(const std::string& name);
std::vector<std::string> rmt_names();

}  // namespace rmt::nn
