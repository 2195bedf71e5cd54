// Attention with Manhattan decay: each position of a map takes a mean of the values at all
// positions of its line, weighted by how well its query fits their keys and by how near they are.
// README.md explains, definition.h is the same in plain loops.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// The line that a position attends to: its row, its column, the whole map.
enum class Axis { W, H, both };

// How the decay enters, with d the distance |dx| + |dy| (along an axis only one of them is not 0).
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

// For each head, of D = C / heads channels, with q' and k' the rotated q and k:
//   S_ij = D^-1/2 q'_i . k'_j,   A from S and d_ij as the mode says,   y_i = sum_j A_ij v_j.
// q, k, v, y (B, H, W, C), one type. decay (heads): log of the factor a step, <= 0, or undefined
// for none. rotary (H W, D) from rotary_table, or undefined for none; D is even then. Both are f32
// where q is bf16, and have no gradient. No L x L tensor is kept: backward makes A again from q and
// k.
Tensor manhattan_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                           const Tensor& rotary, const ManhattanOptions& options);

}  // namespace rmt::ops
