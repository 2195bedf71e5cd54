// What a run leaves in its folder (train/run/run_folder.h), and when:
//
//   augmented.png            the images of its first batch, as the loader changed them
//   log.jsonl                a line an epoch
//   best.safetensors         the weights of the best epoch so far
//   checkpoint-N.safetensors those of epoch N, of the --checkpoint-hist best ones
//   last.safetensors         weights, optimizer and progress: what --resume goes on with
//
// A file that cannot be written is a warning: training goes on, and what was saved before is kept.
#pragma once
#include <functional>

#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/run/run_folder.h"

namespace rmt::train {

// The better top-1 of the two, the weights' or their average's.
double best_top1(const EpochLog& log);

class Saving {
 public:
  // `progress` is read whenever something is saved.
  Saving(nn::Module& model, Optimizer& optimizer, const Progress& progress,
         const TrainOptions& options, const std::vector<std::string>& classes,
         const DataCounts& counts);

  // From now on into this folder; takes back the lines of log.jsonl that are not in `progress`.
  void open(const RunFolder& folder);
  const RunFolder& folder() const { return folder_; }
  void first_batch(const data::Batch& batch);
  void last();                                 // last.safetensors
  void epoch(const EpochLog& log, bool best);  // everything that the end of an epoch leaves
  bool saved_all() const { return saved_all_; }

  // For a message about a run gone wrong: where its last checkpoint is, and what to try.
  std::string advice() const;
  void resumed() { has_checkpoint_ = true; }

 private:
  void try_to_save(const std::function<void()>& save);
  void write_last();
  void write_weights(const std::string& file, const EpochLog& log);
  void keep_history(const EpochLog& log);
  Archive weights(const std::string& kind);

  nn::Module& model_;
  Optimizer& optimizer_;
  const Progress& progress_;
  TrainOptions options_;
  std::vector<std::string> classes_;
  DataCounts counts_;
  RunFolder folder_;
  bool saved_all_ = true;
  bool has_checkpoint_ = false;
};

}  // namespace rmt::train
