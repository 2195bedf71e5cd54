// The task of segmentation: a class for every pixel, a cross entropy over the pixels, mean IoU.
#pragma once
#include "data/annotated_loader.h"
#include "data/segmentation/pipeline.h"
#include "nn/segmentation/segmenter.h"
#include "train/compute.h"
#include "train/segmentation/miou.h"
#include "train/task.h"

namespace rmt::train {

data::SegmentationOptions segmentation_options(const TrainOptions& options);

// The loss as the official code takes it, of logits that are resized bilinearly to the labels'
// size,
//
//   loss = sum over labelled pixels of -log softmax(logits)_label / (B H W)
//
// so that an image with many unlabelled pixels counts less; 0.4 times the same of the auxiliary
// head is added. labels (B, H, W) u8. Parts: decode.loss_seg, aux.loss_seg.
Losses segmentation_losses(const nn::SegmentationLogits& logits, const Tensor& labels);

// mIoU, mAcc and aAcc in per cent; 0 where no pixel is labelled, so that epochs can be compared.
std::vector<Score> segmentation_scores(const Agreement& agreement);

class Segmentation : public Task {
 public:
  // The images must outlive the task. Error where their classes are not as many as the model's,
  // or those of both sets differ.
  Segmentation(nn::Segmenter& model, const data::AnnotatedSet& train,
               const data::AnnotatedSet& test, const TrainOptions& options, const Compute& compute);

  const std::vector<std::string>& classes() const override { return classes_; }
  DataCounts counts() const override { return counts_; }
  std::string place() const override { return place_; }
  data::Batches& training() override { return train_loader_; }
  data::Batches& validation() override { return test_loader_; }
  const data::TransformOptions& transform() const override { return transform_; }
  Losses losses(const Tensor& images, const data::Batch& batch) override;
  // mIoU, mAcc and aAcc in per cent.
  std::optional<std::vector<TestResult>> test(TestedWeights& weights, const GoOn& go_on) override;
  std::vector<data::Tile> pictures(const data::Batch& batch, int64_t most) const override;

 private:
  nn::Segmenter& model_;
  Compute compute_;
  data::TransformOptions transform_;
  data::AnnotatedLoader train_loader_, test_loader_;
  std::vector<std::string> classes_;
  DataCounts counts_;
  std::string place_;
};

}  // namespace rmt::train
