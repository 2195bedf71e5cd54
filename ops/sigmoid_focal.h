// The focal loss (Lin et al., "Focal Loss for Dense Object Detection", 2017): a binary cross
// entropy for each class, in which what is already right counts little.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

struct FocalOptions {
  double alpha = 0.25;  // the weight of t = 1; that of t = 0 is 1 - alpha
  double gamma = 2;     // 0: the binary cross entropy, weighted by alpha alone
};

// With p = sigmoid(logits_ik) and t = 1 where label_i = k, else 0:
//
//   1 / normaliser sum_ik (t ? -alpha (1 - p)^gamma log p : -(1 - alpha) p^gamma log(1 - p))
//
// of shape (). logits (N, K), K > 0, f32, f64 or bf16; labels (N) i64: a class in [0, K), K for the
// background, which has t = 0 for all classes, or -1 for a row that does not count. normaliser > 0,
// alpha in [0, 1], gamma >= 0. The result is f32 for bf16, else of the dtype of the logits; 0 for
// N = 0; finite for all finite logits.
//
// On the CPU a label out of range is an Error. On a GPU, which nobody waits for, it makes the
// result nan, and the gradient of its row.
Tensor sigmoid_focal(const Tensor& logits, const Tensor& labels, double normaliser,
                     const FocalOptions& options = {});

}  // namespace rmt::ops
