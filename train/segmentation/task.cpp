#include "train/segmentation/task.h"

#include <cmath>

#include "ops/add.h"
#include "ops/pixel_cross_entropy.h"
#include "ops/resize_bilinear.h"
#include "ops/scale.h"
#include "train/dense_parts.h"
#include "train/segmentation/evaluation.h"
#include "train/segmentation/overlay.h"
#include "train/weights/model_file.h"

namespace rmt::train {

data::SegmentationOptions segmentation_options(const TrainOptions& o) {
  return {.long_side = o.long_side,
          .short_side = o.short_side,
          .ratio_min = o.size_ratio[0],
          .ratio_max = o.size_ratio[1],
          .crop = o.crop_size,
          .flip = o.hflip,
          .distort = o.photometric};
}

Losses segmentation_losses(const nn::SegmentationLogits& logits, const Tensor& labels) {
  auto loss = [&](const Tensor& x) {
    const Tensor y = ops::resize_bilinear(x, labels.dim(1), labels.dim(2));
    return ops::pixel_cross_entropy(y, labels, data::kIgnored, double(labels.numel()));
  };
  const Tensor main = loss(logits.main);
  if (!logits.aux.defined()) return {main, {{"decode.loss_seg", main}}};
  const Tensor aux = ops::scale(loss(logits.aux), nn::kAuxiliaryWeight);
  return {ops::add(main, aux), {{"decode.loss_seg", main}, {"aux.loss_seg", aux}}};
}

std::vector<Score> segmentation_scores(const Agreement& a) {
  auto per_cent = [](double share) { return std::isnan(share) ? 0 : 100 * share; };
  return {{"mIoU", per_cent(a.mean_iou)},
          {"mAcc", per_cent(a.mean_accuracy)},
          {"aAcc", per_cent(a.accuracy)}};
}

Segmentation::Segmentation(nn::Segmenter& model, const data::AnnotatedSet& train,
                           const data::AnnotatedSet& test, const TrainOptions& o,
                           const Compute& compute)
    : model_(model),
      compute_(compute),
      transform_(transform_options(o)),
      train_loader_(train, data::segmentation_training(segmentation_options(o)),
                    [&] {
                      auto l = annotated_loader_options(o, true, compute);
                      l.least_side = o.crop_size;
                      return l;
                    }()),
      test_loader_(test, data::segmentation_evaluation(segmentation_options(o)),
                   annotated_loader_options(o, false, compute)),
      classes_(train.classes()),
      counts_(counts_of(train, test)),
      place_(train.place()) {
  CHECK(int64_t(classes_.size()) == model.num_classes, train.place(), " has ", classes_.size(),
        " classes, the model ", model.num_classes);
  CHECK(test.classes() == classes_, test.place(), ": its classes are others than those of ",
        place_);
}

Losses Segmentation::losses(const Tensor& images, const data::Batch& batch) {
  return segmentation_losses(model_.forward(images), batch.pixel_labels.to(images.device()));
}

std::optional<std::vector<TestResult>> Segmentation::test(TestedWeights& weights,
                                                          const GoOn& go_on) {
  const auto counts = evaluate_segmentation(weights, model_, test_loader_, compute_, transform_,
                                            [&](const auto&, const auto&) { return go_on(); });
  if (!counts) return std::nullopt;
  std::vector<TestResult> results;
  for (const PixelCounts& c : *counts) results.push_back({0, segmentation_scores(agreement_of(c))});
  return results;
}

// The photograph with its labels laid over it.
std::vector<data::Tile> Segmentation::pictures(const data::Batch& batch, int64_t most) const {
  std::vector<data::Tile> tiles;
  const Tensor& labels = batch.pixel_labels;  // (B, H, W)
  for (const data::Image& image : unpadded_pictures(batch, most)) {
    data::LabelImage of{image.width, image.height, {}};
    for (int64_t y = 0; y < image.height; ++y) {
      const uint8_t* row =
          labels.data<uint8_t>() + (int64_t(tiles.size()) * labels.dim(1) + y) * labels.dim(2);
      of.labels.insert(of.labels.end(), row, row + image.width);
    }
    tiles.push_back({overlay(image, of)});
  }
  make_same_size(tiles);
  return tiles;
}

}  // namespace rmt::train
