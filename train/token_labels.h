// Training with token labels: the loss of the image's logits, and that of every token's
// (data/labels/README.md).
#pragma once
#include "nn/rmt/model.h"
#include "train/objective.h"
#include "train/options.h"

namespace rmt::train {

// With CE(z, t) the mean over rows of -sum_k t_k log softmax(z)_k (ops/cross_entropy.h):
//
//   loss = image_weight CE(image, image_targets) + token_weight CE(tokens, token_targets), ()
//
// image_targets (B, K) and token_targets (B, h, w, K) are of the dtype that cross_entropy wants.
Tensor token_label_loss(const nn::TokenLogits& logits, const Tensor& image_targets,
                        const Tensor& token_targets, double image_weight = 1,
                        double token_weight = 0.5);

// The objective of a model with a token head, for batches with label maps: the targets are cut out
// of these (ops/token_targets.h), images are mixed by MixToken as the batch's `mix` says.
Objective token_labels(nn::Rmt& model, const TrainOptions& options);

}  // namespace rmt::train
