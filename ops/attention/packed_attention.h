// All that attention does between its projections (nn/rmt/attention.h), as one op on a tensor in
// which q, k and v lie side by side, as one matrix product leaves them:
//
//   y = A v + LCE(v)       A over the whole map, or along W and then H; LCE a depthwise convolution
//
// One op has one gradient, dqkv, which its kernels write once: no sums of dq, dk or dv over the
// places where they occur, and no copies of columns.
#pragma once
#include "ops/attention/manhattan_attention.h"

namespace rmt::ops {

struct PackedOptions {
  int64_t heads = 1;
  bool decomposed = false;  // y = A_H (A_W v): along rows, then along columns
  DecayMode mode = DecayMode::log_additive;
};

// qkv (B, H, W, 3 C): of each position the C columns of q, those of k, those of v -> y (B, H, W,
// C). decay (heads) and rotary (H W, C / heads) as in manhattan_attention, each may be undefined.
// lepe_w (C, 1, k, k) with k odd, or undefined for y = A v; lepe_bias (C) or undefined. All of
// these are f32 where qkv is bf16. Throws Error for other shapes and dtypes.
//
// Backward keeps qkv, and along two axes also A_W v (B, H, W, C).
Tensor packed_attention(const Tensor& qkv, const Tensor& decay, const Tensor& rotary,
                        const Tensor& lepe_w, const Tensor& lepe_bias,
                        const PackedOptions& options);

// Has packed_attention kernels of its own for x (B, H, W, C), from which qkv will be projected?
// They are for bf16 on a GPU, in the shapes of RMT. For the rest it is made of other ops, and
// nothing is gained by packing.
bool packs(const Tensor& x, const PackedOptions& options);

}  // namespace rmt::ops
