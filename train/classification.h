// The task of a classifier: one label for each image, a cross entropy (or token labels), top-1.
#pragma once
#include "data/loader.h"
#include "train/evaluation.h"
#include "train/part_options.h"
#include "train/task.h"

namespace rmt::train {

class Classification : public Task {
 public:
  // The images must outlive the task. `loss`: undefined for that of options.loss. `labels`: the
  // label maps of the training images, for a model with a token head (options.token_head); they
  // must outlive the task.
  Classification(nn::Module& model, const Forward& forward, const data::Dataset& train,
                 const data::Dataset& test, const TrainOptions& options, const Compute& compute,
                 const Loss& loss = nullptr, const data::LabelMaps* labels = nullptr);

  const std::vector<std::string>& classes() const override { return classes_; }
  DataCounts counts() const override { return counts_; }
  std::string place() const override { return place_; }
  data::Batches& training() override { return train_loader_; }
  data::Batches& validation() override { return test_loader_; }
  const data::TransformOptions& transform() const override { return transform_; }
  Losses losses(const Tensor& images, const data::Batch& batch) override {
    return objective_(images, batch);
  }
  std::optional<std::vector<TestResult>> test(TestedWeights& weights, const GoOn& go_on) override;
  std::vector<data::Tile> pictures(const data::Batch& batch, int64_t most) const override;

 private:
  nn::Module& model_;
  Forward forward_;
  Compute compute_;
  data::TransformOptions transform_;
  data::Loader train_loader_, test_loader_;
  std::vector<std::string> classes_;
  DataCounts counts_;
  std::string place_;
  Objective objective_;
};

}  // namespace rmt::train
