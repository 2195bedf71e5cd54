// The loss of classifiers whose targets are numbers of classes: of pixels, and of regions.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// 1 / normaliser times the sum, over the rows i whose label is not `ignored`, of
// -log softmax(logits_i)_(label_i), of shape (). logits (..., K), K > 0, f32, f64 or bf16; labels
// (...), u8 or i64, in [0, K) or `ignored`; normaliser > 0. The result is f32 for bf16, else of the
// dtype of the logits; it is 0 where no row counts, and finite for all finite logits. The mean over
// all pixels, ignored ones among them, has the normaliser labels.numel().
//
// On the CPU a label out of range is an Error. On a GPU, which nobody waits for, it makes the
// result nan, and the gradient of its row.
Tensor pixel_cross_entropy(const Tensor& logits, const Tensor& labels, int64_t ignored,
                           double normaliser);

}  // namespace rmt::ops
