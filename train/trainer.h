// Training. A run is a function of its options and its images: order, crops, mixing, drop path and
// rate depend on (seed, epoch, step) alone, so that a run that was stopped, or killed, and resumed
// ends with the same bits as one that was not.
//
// trainer.cpp begins with the loop of epochs and steps; a step, forward, loss, backward, optimizer,
// is step.cpp. What surrounds them has files of its own: report.h says how it goes, saving.h writes
// the run folder, recording.h repeats the step on a GPU.
#pragma once
#include <memory>
#include <optional>
#include <ostream>

#include "data/sharing.h"
#include "train/classification.h"
#include "train/options.h"
#include "train/report.h"
#include "train/saving.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/task.h"

namespace rmt::train {

class Trainer {
 public:
  // The model must be where compute.prepare() brought it, with the weights that training starts
  // from. `out` receives one line an epoch; the progress line and warnings go to stderr.
  // `classifier` is the layer that --freeze body spares (nn/classifier.h).
  Trainer(nn::Module& model, std::unique_ptr<Task> task, const TrainOptions& options,
          std::ostream& out, const Compute& compute = {}, const std::string& classifier = "head");
  // Of a classifier: the task is train/classification.h, which says what `loss` and `labels` are.
  Trainer(nn::Module& model, Forward forward, const data::Dataset& train, const data::Dataset& test,
          const TrainOptions& options, std::ostream& out, const Compute& compute = {},
          const Loss& loss = nullptr, const data::LabelMaps* labels = nullptr);
  // The same with the model's own forward(). options.model must be the name under which it is
  // registered (nn/models/registry.h), by which its checkpoints are found again: Error for a name
  // that this program does not know.
  Trainer(nn::Classifier& model, const data::Dataset& train, const data::Dataset& test,
          const TrainOptions& options, std::ostream& out, const Compute& compute = {},
          const Loss& loss = nullptr, const data::LabelMaps* labels = nullptr);

  // Goes on where a last.safetensors of the same model and options stopped, in the middle of an
  // epoch if need be. Error when the classes or the images are not those of then, or an epoch that
  // was begun would be cut into other steps, unless `force`.
  void resume(const Archive& archive, bool force = false);
  // Of several processes all call it: Error where they would not begin alike, with the same
  // options, images, weights and place in the run. run() calls it too.
  void check_processes();
  // As Report's.
  void show_utilization(int64_t multiply_adds, double peak) {
    report_.show_utilization(multiply_adds, peak);
  }
  // All epochs that are left, into this folder (of several processes the first one alone writes);
  // at the first SIGTERM or SIGINT it saves and returns (train/stop.h). False when something could
  // not be saved: training went on without it.
  bool run(const RunFolder& folder);
  bool stopped() const { return stopped_; }                     // by a signal, before the end
  const RunFolder& folder() const { return saving_.folder(); }  // where it is now

 private:
  void begin_epoch();
  std::vector<data::Batch> next_batches(int64_t step);
  double learning_rate(int64_t step) const;
  void count(const std::vector<Verdict>& verdicts);
  void note_step(double lr);
  void stop_or_save();
  bool asked_to_stop() const;
  std::optional<EpochLog> evaluate_epoch();
  bool test(EpochLog& log);
  void finish_epoch(EpochLog log);
  void stop();
  void note_bad_images();

  nn::Module& model_;
  std::unique_ptr<Task> task_;
  TrainOptions options_;
  Compute compute_;
  Schedule schedule_;
  DataCounts counts_;
  int64_t steps_;  // of an epoch
  Optimizer optimizer_;
  TrainStep train_step_;
  Progress progress_;
  Report report_;
  Saving saving_;
  double last_loss_ = 0;
  data::BadImages bad_train_, bad_test_;
  bool stopped_ = false;
};

}  // namespace rmt::train
