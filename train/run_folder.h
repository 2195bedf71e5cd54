// The folder of one run: args.json, log.jsonl, last.safetensors, best.safetensors. Never reused for another run.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rmt {

// One line of log.jsonl: the official log's fields under their names, then ours.
struct EpochLog {
  int64_t epoch = 0, n_parameters = 0;
  double train_loss = 0, train_lr = 0;                 // means over the epoch's steps
  double test_loss = 0, test_acc1 = 0, test_acc5 = 0;  // mean over the images; per cent
  double seconds = 0, images_per_s = 0;                // of training, evaluation not included
  std::vector<std::string> bad_images = {};            // "path: reason" of every image that could not be read and was replaced
};

class RunFolder {
 public:
  RunFolder() = default;  // none

  // Makes output/experiment, or output/<timestamp>-<model>-<size> when experiment is empty. Error when it is there already and not empty.
  static RunFolder create(const std::string& output, const std::string& experiment, const std::string& model, int64_t image_size);
  // The folder of a run that is to go on; Error when it is none.
  static RunFolder open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  void append(const EpochLog& line);
  // Takes back the lines of `epoch` and later: a run that was killed between its log and its checkpoint logs them again.
  void truncate_log(int64_t epoch);

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace rmt
