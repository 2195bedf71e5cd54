// The loss of a classifier, and the targets that it is measured against.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// The mean over B of -sum_k target_bk log softmax(logits)_bk, of shape (). logits (B, K), B K > 0,
// f32, f64 or bf16; target (B, K) of the same dtype, but f32 for bf16; its rows may have any sum,
// which need not be 1 (see token_targets.h). It has no gradient: an Error when it needs one. The
// result has target's dtype.
Tensor cross_entropy(const Tensor& logits, const Tensor& target);

// target_bk = eps / K, plus 1 - eps at k = label_b. labels (B) i64 in [0, K) -> (B, K) of `dtype`.
// On the CPU a label out of range is an Error; on a GPU it makes its row nan, and so the loss. With
// `mix` (6) f64, see mix_images.h, the targets of mixed images: lambda target_b + (1 - lambda)
// target_(B - 1 - b), with the lambda of the targets.
Tensor smooth_one_hot(const Tensor& labels, int64_t K, double eps, DType dtype = DType::f32,
                      const Tensor& mix = {});

}  // namespace rmt::ops
