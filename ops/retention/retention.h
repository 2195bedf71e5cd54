// Causal retention (Sun et al. 2023, RetNet): each position of a sequence takes a sum of the values
// at all positions up to it, weighted by the product of its query with their keys and by how near
// they are. Attention without softmax; README.md explains what that is good for.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// Three ways to compute the same function.
enum class RetentionForm {
  parallel,   // all pairs of positions: L^2 multiplications, as attention does it
  chunkwise,  // pairs within a chunk, a state from chunk to chunk
  recurrent,  // a state from position to position: L multiplications, one step after the other
};

struct RetentionOptions {
  int64_t heads = 1;
  RetentionForm form = RetentionForm::chunkwise;
  int64_t chunk = 64;  // positions of a chunk, at least 1
};

// For each head, with gamma = e^decay:
//   y_n = sum over m <= n of gamma^(n - m) (q_n . k_m) v_m.
// q, k (B, L, C), v and y (B, L, Cv), one type; (B, H, W, C) and (B, H, W, Cv) are the L = H W
// positions of a map in raster order. Each head has D = C / heads channels of q and k, E = Cv /
// heads of v and y. decay (heads): finite and <= 0, f32 where q is bf16; it has no gradient. An
// Error when a shape or type does not fit, when heads do not divide the channels, when chunk < 1,
// and from the recurrent form on a GPU for heads too large for its shared memory (D of hundreds).
Tensor retention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                 const RetentionOptions& options);

}  // namespace rmt::ops
