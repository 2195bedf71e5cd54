// The training loop. A run is a function of its options and its images: order, crops, drop path and rate depend on (seed, epoch, step) alone, so that a run
// that was stopped and resumed ends with the same bits as one that was not.
#pragma once
#include <functional>
#include <ostream>

#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/options.h"
#include "train/progress_line.h"
#include "train/run_folder.h"
#include "train/step.h"

namespace rmt {

LoaderOptions loader_options(const TrainOptions& options, bool train, const Compute& compute = {});

// Top-1, top-5 and loss over everything that the loader holds. `flag` is what a user sets its batch size with: named where memory is too small for it.
// `seen`, where given, is shown each batch with its logits (B, K) f32 on the host.
Metrics evaluate(nn::Module& model, const Forward& forward, Loader& loader, const Compute& compute = {}, const TransformOptions& transform = {},
                 const char* flag = "--batch-size", const std::function<void(const Batch&, const Tensor& logits)>& seen = {});

class Trainer {
 public:
  // The model must be where compute.prepare() brought it. `out` receives one line an epoch; the progress line and warnings go to stderr.
  Trainer(nn::Module& model, Forward forward, const Dataset& train, const Dataset& test, const TrainOptions& options, std::ostream& out,
          const Compute& compute = {});

  // Goes on where a last.safetensors of the same model and options stopped.
  void resume(const Archive& archive);
  // All epochs that are left, into this folder. False when something could not be saved: training went on without it.
  bool run(const RunFolder& folder);

 private:
  EpochLog train_epoch(int64_t epoch);
  void check_loss(double loss, int64_t t, double lr) const;
  void finish_epoch(EpochLog log, const Metrics& test);
  void note_bad_images(EpochLog& log);
  std::string last_checkpoint() const;
  void save(const std::string& name, bool resumable);
  void try_to_save(const std::function<void()>& f);

  nn::Module& model_;
  Forward forward_;
  TrainOptions options_;
  Compute compute_;
  Loader train_, test_;
  std::vector<std::string> classes_;
  AdamW optimizer_;
  TrainStep step_;
  RunFolder folder_;
  std::ostream& out_;
  Progress progress_;
  ProgressLine line_{0, 0};
  size_t bad_seen_[2] = {0, 0};
  bool saved_all_ = true;
};

}  // namespace rmt
