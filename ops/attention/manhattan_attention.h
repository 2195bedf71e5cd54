#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

enum class Axis { W, H, both };  // attend along the row, along the column, over the whole map
enum class DecayMode {
  log_additive,   // A = softmax(S + decay d): the official code
  post_multiply,  // A = softmax(S) exp(decay d): the paper's equation 5; rows sum to less than 1
  post_multiply_normalised,  // the same divided by its row sum: equals log_additive up to rounding
};
struct ManhattanOptions {
  int64_t heads = 1;
  Axis axis = Axis::both;
  DecayMode mode = DecayMode::log_additive;
};
// For each head: S_ij = D^-1/2 rot(q_i) . rot(k_j), A from S as the mode says with d = |dx| + |dy|
// (along an axis: its own distance), y_i = sum_j A_ij v_j. q k v (B, H, W, C), decay (heads): log
// of the per-step factor, <= 0, no gradient; rotary (H W, D) from rotary_table, or undefined for
// none. No L x L tensor is kept: backward computes A again from q and k.
Tensor manhattan_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                           const Tensor& rotary, const ManhattanOptions& options);

}  // namespace rmt::ops
