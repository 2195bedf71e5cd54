// What a run leaves in its folder (train/run/run_folder.h), and when:
//
//   augmented.png            the images of its first batch, as the loader changed them
//   log.jsonl                a line an epoch
//   best.safetensors         the weights of the best epoch so far
//   checkpoint-N.safetensors those of epoch N, of the --checkpoint-hist best ones
//   last.safetensors         weights, optimizer and progress: what --resume goes on with
//   next.safetensors         the same, a few steps later: last.safetensors as soon as a step from
//                            there has counted
//
// A file that cannot be written is a warning: training goes on, and what was saved before is kept.
// A state that cannot be gone on with never replaces one that can: nothing is saved whose numbers
// are not all finite, or while steps are skipped (guard.h). Weights that a step has just ruined are
// still finite, and the next step shows it; so inside an epoch a checkpoint waits for that step.
#pragma once
#include <functional>

#include "data/images/image_grid.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/run/run_folder.h"

namespace rmt::train {

// The better score of the two, the weights' or their average's.
double best_score(const EpochLog& log);

class Saving {
 public:
  // `progress` is read whenever something is saved. `writes` false: nothing ever is, since another
  // process saves the same.
  Saving(nn::Module& model, Optimizer& optimizer, const Progress& progress,
         const TrainOptions& options, const std::vector<std::string>& classes,
         const DataCounts& counts, bool writes = true);

  // From now on into this folder; takes back the lines of log.jsonl that are not in `progress`.
  void open(const RunFolder& folder);
  const RunFolder& folder() const { return folder_; }
  void first_batch(const std::vector<data::Tile>& images);
  void inside_epoch();  // next.safetensors
  void step_counted();  // and now it is last.safetensors
  bool last();          // last.safetensors at once, for a run that stops; false: it is an older one
  void epoch(const EpochLog& log, bool best);  // everything that the end of an epoch leaves
  bool saved_all() const { return saved_all_; }

  // For a message about a run gone wrong: where its last checkpoint is, and what to try.
  std::string advice() const;
  void resumed() { has_checkpoint_ = true; }
  bool has_checkpoint() const { return has_checkpoint_; }

 private:
  bool try_to_save(const std::function<void()>& save);
  bool skipping();
  void write(const std::string& file, const Archive& archive);
  void write_state(const std::string& file);
  bool write_last();
  void drop_next();
  void write_weights(const std::string& file, const EpochLog& log);
  void keep_history(const EpochLog& log);
  Archive weights(const std::string& kind);

  nn::Module& model_;
  Optimizer& optimizer_;
  const Progress& progress_;
  TrainOptions options_;
  std::vector<std::string> classes_;
  DataCounts counts_;
  bool writes_;
  RunFolder folder_;
  bool saved_all_ = true;
  bool has_checkpoint_ = false;
  bool next_waits_ = false;     // next.safetensors is there
  bool told_skipping_ = false;  // since the last step that counted
};

}  // namespace rmt::train
