// What a training step makes small: a function of a batch. The loss of a classifier against its
// labels is the usual one; token labels (train/token_labels.h) are another.
#pragma once
#include <functional>

#include "data/batch.h"
#include "train/evaluation.h"
#include "train/loss.h"

namespace rmt::train {

// images (B, H, W, 3): those of the batch as the model reads them, normalised and mirrored, not yet
// mixed -> the mean loss over the batch, (), with a gradient to the model's parameters.
using Objective = std::function<Tensor(const Tensor& images, const data::Batch& batch)>;

// Images mixed as the batch says (Mixup, CutMix), and the loss of their logits against its labels,
// smoothed and mixed alike.
Objective classification(const Forward& forward, const Loss& loss, double smoothing);

}  // namespace rmt::train
