#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// mean over B of -sum_k target_bk log softmax(logits)_bk, shape ().  logits target (B, K); rows of
// target sum to 1; no gradient for it.
Tensor cross_entropy(const Tensor& logits, const Tensor& target);
// target_bk = eps / K, plus 1 - eps at k = label_b.  labels (B) i64 in [0, K) -> (B, K) of `dtype`.
// With `mix` (6) f64 (see mix_images) those of mixed images: lambda target_b + (1 - lambda)
// target_{B - 1 - b}, lambda that of targets.
Tensor smooth_one_hot(const Tensor& labels, int64_t K, double eps, DType dtype = DType::f32,
                      const Tensor& mix = {});

}  // namespace rmt::ops
