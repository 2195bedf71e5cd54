// The training loop. A run is a function of its options and its images: order, crops, mixing, drop
// path and rate depend on (seed, epoch, step) alone, so that a run that was stopped, or killed, and
// resumed ends with the same bits as one that was not.
#pragma once
#include <functional>
#include <ostream>

#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/options.h"
#include "train/run/epoch_log.h"
#include "train/run/progress_line.h"
#include "train/run/run_folder.h"
#include "train/step.h"

namespace rmt::train {

data::LoaderOptions loader_options(const TrainOptions& options, bool train,
                                   const Compute& compute = {});

// Top-1, top-5 and loss over everything that the loader holds. `flag` is what a user sets its batch
// size with: named where memory is too small for it. `seen`, where given, is shown each batch with
// its logits (B, K) f32 on the host; its false ends the evaluation.
Metrics evaluate(
    nn::Module& model, const Forward& forward, data::Loader& loader, const Compute& compute = {},
    const data::TransformOptions& transform = {}, const char* flag = "--batch-size",
    const std::function<bool(const data::Batch&, const Tensor& logits)>& seen = nullptr);

class Trainer {
 public:
  // The model must be where compute.prepare() brought it, with the weights that training starts
  // from. `out` receives one line an epoch; the progress line and warnings go to stderr.
  Trainer(nn::Module& model, Forward forward, const data::Dataset& train, const data::Dataset& test,
          const TrainOptions& options, std::ostream& out, const Compute& compute = {});

  // Goes on where a last.safetensors of the same model and options stopped, in the middle of an
  // epoch if need be. Error when the images are not as many as then, or an epoch that was begun
  // would be cut into other steps, unless `force`.
  void resume(const Archive& archive, bool force = false);
  // For the progress line: a forward pass's multiply-adds an image, and what the device could do
  // (train/peak.h).
  void show_utilization(int64_t multiply_adds, double peak) {
    multiply_adds_ = multiply_adds, peak_ = peak;
  }
  // All epochs that are left, into this folder; at the first SIGTERM or SIGINT it saves and returns
  // (train/stop.h). False when something could not be saved: training went on without it.
  bool run(const RunFolder& folder);
  bool stopped() const { return stopped_; }  // by a signal, before the end

 private:
  bool train_epoch();
  void judge(const std::vector<Verdict>& verdicts);
  std::optional<EpochLog> evaluate_epoch();
  void finish_epoch(EpochLog log);
  void save_weights(const std::string& name, const EpochLog& log);
  void keep_history(const EpochLog& log);
  void stop();
  void draw_first_batch(const data::Batch& batch);
  void note_bad_images();
  std::string last_checkpoint() const;
  void save(const std::string& name, bool resumable, const std::string& weights = "");
  void try_to_save(const std::function<void()>& f);
  void with_averages(const std::function<void()>& f);

  nn::Module& model_;
  Forward forward_;
  TrainOptions options_;
  Compute compute_;
  data::Loader train_, test_;
  std::vector<std::string> classes_;
  DataCounts counts_;
  int64_t steps_;  // of an epoch
  Optimizer optimizer_;
  TrainStep step_;
  RunFolder folder_;
  std::ostream& out_;
  Progress progress_;
  ProgressLine line_{0, 0};
  double last_loss_ = 0;
  int64_t multiply_adds_ = 0;
  double peak_ = 0;
  size_t bad_seen_[2] = {0, 0};
  bool saved_all_ = true, saved_once_ = false, stopped_ = false;
};

}  // namespace rmt::train
