// The folder of one run: args.json (its settings), log.jsonl and what is drawn from it, and the
// checkpoints last.safetensors and best.safetensors. No other run ever writes into it: run.lock is
// locked while one does. README.md says which file is written when, and what a kill can leave of
// it.
#pragma once
#include "core/files/folder_lock.h"
#include "train/run/epoch_log.h"

namespace rmt::train {

class RunFolder {
 public:
  RunFolder() = default;  // no folder

  // Makes output/experiment, or output/<timestamp>-<model>-<size> when experiment is empty. Error
  // when it is there already, even if empty: another run may have made it a moment ago.
  static RunFolder create(const std::string& output, const std::string& experiment,
                          const std::string& model, int64_t image_size);
  // The folder of a run that is to go on; Error when there is no such folder.
  static RunFolder open(const std::string& path);
  // The locked folder of a run that is to begin again, killed before its first checkpoint. Error
  // when it holds one, or other files than a run's.
  static RunFolder begin_again(const std::string& path);

  // Takes the folder for this process until the last copy is gone; Error that says who has it.
  void lock();
  // When the locked folder was moved, this goes on in its new place, says so on stderr and returns
  // true. Error when it is there no more. To be called before something is saved, or could not be.
  bool follow();

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  // Adds a line to log.jsonl (with the time, where it has none) and then does what refresh() does.
  // Error when anything could not be written; a second call then adds the line only where the log
  // does not end with its epoch.
  void append(EpochLog line);
  // Takes back the lines of `epoch` and of later ones. A run that was killed after it wrote an
  // epoch's line and before it wrote that epoch's checkpoint trains the epoch again, and logs it
  // again. Lines that come after a line of the same or a later epoch, as two runs in one folder
  // once left them, are taken out with a warning.
  void truncate_log(int64_t epoch);

  // Writes summary.csv, curves.svg and TensorBoard's events anew from log.jsonl, whatever a kill or
  // a full disk left of them. One that fails does not keep the others from being written; the Error
  // names all that failed.
  void refresh() const;
  // A log of another run, to draw beside ours in curves.svg and to compare with.
  void set_compare(Curve theirs) { theirs_ = std::move(theirs); }
  const Curve& compare() const { return theirs_; }

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::shared_ptr<FolderLock> lock_;
  Curve theirs_;
};

}  // namespace rmt::train
