// What a training step makes small: a function of a batch. The loss of a classifier against its
// labels is the usual one; token labels (train/token_labels.h) are another.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "train/evaluation.h"
#include "train/loss.h"

namespace rmt::train {

// The mean loss over a batch, (), and the parts that it is the sum of, () each, by which people see
// how it comes about; what is no part of the sum, such as an accuracy, may stand among them.
struct Losses {
  Tensor total;
  std::vector<std::pair<std::string, Tensor>> parts;
  Losses(const Tensor& t) : total(t) {}  // NOLINT: a loss without parts
  Losses(const Tensor& t, std::vector<std::pair<std::string, Tensor>> p)
      : total(t), parts(std::move(p)) {}
};

// images (B, H, W, 3): those of the batch as the model reads them, normalised and mirrored, not yet
// mixed -> the loss, with a gradient to the model's parameters.
using Objective = std::function<Losses(const Tensor& images, const data::Batch& batch)>;

// Images mixed as the batch says (Mixup, CutMix), and the loss of their logits against its labels,
// smoothed and mixed alike.
Objective classification(const Forward& forward, const Loss& loss, double smoothing);

}  // namespace rmt::train
