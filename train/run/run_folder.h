// The folder of one run: args.json, log.jsonl and what is drawn from it, last.safetensors,
// best.safetensors. Never reused for another run.
#pragma once
#include "train/run/epoch_log.h"

namespace rmt::train {

class RunFolder {
 public:
  RunFolder() = default;  // none

  // Makes output/experiment, or output/<timestamp>-<model>-<size> when experiment is empty. Error
  // when it is there already and not empty.
  static RunFolder create(const std::string& output, const std::string& experiment,
                          const std::string& model, int64_t image_size);
  // The folder of a run that is to go on; Error when it is none.
  static RunFolder open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  // Adds a line to log.jsonl (with the time, where it has none) and then does what refresh() does.
  // Error when anything could not be written.
  void append(EpochLog line);
  // Takes back the lines of `epoch` and later: a run that was killed between its log and its
  // checkpoint logs them again.
  void truncate_log(int64_t epoch);

  // Brings everything that is a function of log.jsonl up to it, whatever a kill or a full disk left
  // of it. One that fails does not keep the others from being written; the Error names all that
  // did.
  void refresh() const;
  // A log to draw beside ours in curves.svg, and to compare with.
  void set_compare(Curve theirs) { theirs_ = std::move(theirs); }
  const Curve& compare() const { return theirs_; }

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
  Curve theirs_;
};

}  // namespace rmt::train
