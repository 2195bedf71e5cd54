// What a run trains for. The trainer knows epochs, steps, signals and files; what a batch is, what
// a step makes small and how good the model is, the task knows. A task is a class with these
// functions: train/classification.h, train/segmentation/task.h, train/detection/task.h, or one of
// your own.
#pragma once
#include <functional>
#include <memory>

#include "data/batches.h"
#include "data/images/image_grid.h"
#include "train/checkpoint.h"
#include "train/objective.h"
#include "train/run/epoch_log.h"
#include "train/tested_weights.h"

namespace rmt::train {

// Asked between two batches of a test: false ends it early.
using GoOn = std::function<bool()>;

class Task {
 public:
  virtual ~Task() = default;

  virtual const std::vector<std::string>& classes() const = 0;  // names, by label
  virtual DataCounts counts() const = 0;                        // what the run reads
  virtual std::string place() const = 0;  // of the training images, for people

  virtual data::Batches& training() = 0;                        // what steps take
  virtual data::Batches& validation() = 0;                      // what test() takes
  virtual const data::TransformOptions& transform() const = 0;  // that both normalise with

  // images (B, H, W, 3): those of the batch as the model reads them -> the loss of a step
  // (train/objective.h).
  virtual Losses losses(const Tensor& images, const data::Batch& batch) = 0;
  // Can a step be recorded as a GPU graph: does its loss wait for nothing that the host decides?
  virtual bool recordable() const { return true; }

  // Tests the model with each of these weights, in evaluation mode, in one pass over validation()
  // (TestedWeights::for_each); a result for each. Of several processes all call it and get the
  // same. Nothing where `go_on` ended it in any of them.
  virtual std::optional<std::vector<TestResult>> test(TestedWeights& weights,
                                                      const GoOn& go_on) = 0;

  // Up to `most` images of a training batch for people, as the model sees them.
  virtual std::vector<data::Tile> pictures(const data::Batch& batch, int64_t most) const = 0;
};

}  // namespace rmt::train
