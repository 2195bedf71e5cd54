// The task of detection: boxes, and perhaps masks, of the objects in an image; the losses of the
// detector, COCO's average precision.
#pragma once
#include "data/annotated_loader.h"
#include "data/detection/coco_set.h"
#include "data/detection/pipeline.h"
#include "nn/detection/detector.h"
#include "train/compute.h"
#include "train/detection/coco_eval.h"
#include "train/task.h"

namespace rmt::train {

// Batches are padded to multiples of so many pixels, the coarsest stride of the backbone.
constexpr int64_t kBatchMultiple = 32;

nn::DetectorOptions detector_options(const TrainOptions& options);
data::DetectionOptions detection_options(const TrainOptions& options, bool train);

class Detection : public Task {
 public:
  // The images must outlive the task; the model has a class for each of their categories. Error
  // where those of both sets differ.
  Detection(nn::Detector& model, const data::CocoSet& train, const data::CocoSet& test,
            const TrainOptions& options, const Compute& compute);

  const std::vector<std::string>& classes() const override { return test_set_.classes(); }
  DataCounts counts() const override { return counts_; }
  std::string place() const override { return place_; }
  data::Batches& training() override { return train_loader_; }
  data::Batches& validation() override { return test_loader_; }
  const data::TransformOptions& transform() const override { return transform_; }
  Losses losses(const Tensor& images, const data::Batch& batch) override;
  bool recordable() const override { return false; }  // the host chooses boxes in its midst
  // box_AP, box_AP50, box_AP75, with masks also mask_AP, mask_AP50, mask_AP75, in per cent.
  std::optional<std::vector<TestResult>> test(TestedWeights& weights, const GoOn& go_on) override;
  std::vector<data::Tile> pictures(const data::Batch& batch, int64_t most) const override;

 private:
  nn::Detector& model_;
  Compute compute_;
  data::TransformOptions transform_;
  const data::CocoSet& test_set_;
  data::AnnotatedLoader train_loader_, test_loader_;
  DataCounts counts_;
  std::string place_;
};

}  // namespace rmt::train
