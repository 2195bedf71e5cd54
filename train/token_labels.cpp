#include "train/token_labels.h"

#include "ops/add.h"
#include "ops/cross_entropy.h"
#include "ops/scale.h"
#include "ops/token_targets.h"
#include "ops/view.h"

namespace rmt::train {

Tensor token_label_loss(const nn::TokenLogits& logits, const Tensor& image_targets,
                        const Tensor& token_targets, double image_weight, double token_weight) {
  const int64_t K = logits.image.dim(1);
  const Tensor of_image = ops::cross_entropy(logits.image, image_targets);
  const Tensor of_tokens = ops::cross_entropy(ops::view(logits.tokens, {-1, K}),  // (B h w, K)
                                              ops::view(token_targets, {-1, K}));
  return ops::add(ops::scale(of_image, image_weight), ops::scale(of_tokens, token_weight));
}

Objective token_labels(nn::Rmt& model, const TrainOptions& o) {
  return [&model, smoothing = o.smoothing, image_weight = o.cls_weight,
          token_weight = o.dense_weight](const Tensor& images, const data::Batch& b) {
    CHECK(b.label_values.defined(), "token labels: the batch has no label maps");
    const nn::TokenLogits logits = model.classify_tokens(images, b.mix);
    const int64_t K = logits.image.dim(1), h = logits.tokens.dim(1), w = logits.tokens.dim(2);
    const DType dtype = wide(logits.image.dtype());
    const Tensor of_image = ops::token_targets(b.label_values, b.label_classes, b.label_boxes, K, 1,
                                               1, smoothing, dtype, b.mix);
    const Tensor of_tokens = ops::token_targets(b.label_values, b.label_classes, b.label_boxes, K,
                                                h, w, smoothing, dtype);
    return token_label_loss(logits, ops::view(of_image, {-1, K}), of_tokens, image_weight,
                            token_weight);
  };
}

}  // namespace rmt::train
