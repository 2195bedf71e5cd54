#include "train/objective.h"

#include "ops/cross_entropy.h"
#include "ops/mix_images.h"

namespace rmt::train {

Objective classification(const Forward& forward, const Loss& loss, double smoothing) {
  return [=](const Tensor& images, const data::Batch& batch) {
    const Tensor seen = batch.mix.defined() ? ops::mix_images(images, batch.mix) : images;
    const Tensor logits = forward(seen);  // (B, K)
    const Tensor targets = ops::smooth_one_hot(batch.labels, logits.dim(1), smoothing,
                                               wide(logits.dtype()), batch.mix);  // (B, K)
    return loss(logits, targets);
  };
}

}  // namespace rmt::train
