// The RMT family as data: the published models and our small one are literals of RmtConfig, every
// switch of the paper's ablations is a field.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/attention/manhattan_attention.h"

namespace rmt::nn {

struct RmtConfig {
  std::string name;
  int64_t num_classes = 1000;
  // per stage (RMT.md 1.1)
  std::array<int64_t, 4> dims, depths, heads;
  std::array<double, 4> mlp_ratio;
  std::array<double, 4> decay_init{2, 2, 2, 2},
      decay_range;  // a and b - a: head i of N decays by 1 - 2^(-a - (b - a) i / N) a step
  std::array<bool, 4> decomposed;  // attention along W then H; else over the whole map
  std::array<bool, 4>
      layer_scale{};     // branches scaled by learned gamma_1, gamma_2, which start at 1e-6
  double drop_path = 0;  // of the last block; grows linearly from 0 at the first
  int64_t projection =
      1024;  // channels of the layer before the pooling; 0: none, as in the first release

  // switches of the ablations (RMT.md 1.5, 5.2)
  ops::DecayMode decay_mode = ops::DecayMode::log_additive;
  bool decay = true;          // off: vanilla attention along the same axes
  bool rotary = true;         // theta_shift on q and k
  bool local_context = true;  // LCE: depthwise 5x5 on v added to the attention
  bool position_conv = true;  // CPE: x + depthwise 3x3 (x) before each block
  bool ffn_conv = true;       // depthwise 3x3 with its residual inside the FFN
  bool conv_stem = true;      // off: one 4x4 convolution of stride 4, then batch norm
  bool recompute =
      false;  // keep only each block's input for backward: less memory for a second forward
};

// rmt_t, rmt_s, rmt_b, rmt_l of the paper and rmt_n, our own for small images and CPUs. Throws on
// another name, listing these.
RmtConfig rmt_config(const std::string& name);
std::vector<std::string> rmt_names();

}  // namespace rmt::nn
