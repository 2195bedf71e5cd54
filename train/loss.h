// What a step of training makes small: a function of the logits and of the targets. Cross entropy
// is the default; another one is a setting (--loss), or a function of one's own (train/trainer.h).
#pragma once
#include <functional>
#include <string>

#include "core/tensor.h"

namespace rmt::train {

// logits (B, K) and targets (B, K) -> the mean loss over the batch, (). The targets are 1 at the
// label and 0 elsewhere, but for label smoothing and for mixed images; f32 where logits are bf16.
using Loss = std::function<Tensor(const Tensor& logits, const Tensor& targets)>;

// The losses that --loss knows, over all B K numbers but for the first:
//
//   cross_entropy   1 / B    sum_b  -sum_k t_bk log softmax(z_b)_k
//   bce             1 / (B K) sum_bk  -t log s - (1 - t) log(1 - s),   s = sigmoid(z_bk)
//   mse             1 / (B K) sum_bk  (z_bk - t_bk)^2
//
// Error for another name, which lists these.
Loss loss_named(const std::string& name);

}  // namespace rmt::train
