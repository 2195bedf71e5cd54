// log.jsonl: what is known of each epoch, one JSON object a line. The names of its fields are those
// of the official code's logs, so that its logs are read as ours are. The other records of a run
// (summary.csv, curves.svg, TensorBoard's events) are drawn from this one.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rmt::train {

// One number that says how good a model is, 0 to 100, and its name: acc1 and acc5, top-1 and top-5
// in per cent, of a classifier; mIoU, box_AP and others where pixels and boxes are predicted.
struct Score {
  std::string name;
  double value;
  friend bool operator==(const Score&, const Score&) = default;
};
std::string title_of(const std::string& score);  // for people: "top-1" of acc1, else the name

// What a test on the validation images found.
struct TestResult {
  double loss = 0;            // mean over the images; 0 where none is measured
  std::vector<Score> scores;  // the first one says which epoch is the best
  double score() const { return scores.empty() ? 0 : scores[0].value; }
  std::optional<double> score(const std::string& name) const;
};

struct EpochLog {
  // The official log's fields, under their names.
  int64_t epoch = 0;  // counted from 0
  int64_t n_parameters = 0;
  double train_loss = 0;  // mean over the epoch's steps, like train_lr
  double train_lr = 0;
  // test_loss, and each score: test_acc1 ...
  TestResult test = {0, {{"acc1", 0}, {"acc5", 0}}};
  std::optional<TestResult> test_ema;  // of the averaged weights, where a run keeps them

  // Ours.
  double seconds = 0;         // of training, evaluation not included
  double images_per_s = 0;    // likewise
  int64_t skipped_steps = 0;  // steps whose loss or gradient was not finite
  int64_t time = 0;           // when the epoch ended, seconds since 1970
  // Means of the loss's parts (train/objective.h) over the epoch's steps: train_<name>.
  std::vector<Score> parts = {};
  // "path: reason" of every image that could not be read and was replaced.
  std::vector<std::string> bad_images = {};
};

std::string to_line(const EpochLog& log);  // without the '\n'

// Reads one line. Only epoch, train_loss and a score must be there: test_acc1, or the one whose
// name "measure" tells. Error, which begins with `source`, for anything but an object in which
// these are numbers.
EpochLog epoch_from_line(const std::string& line, const std::string& source);

// All lines of a file of at most 64 MiB. Its epochs grow; some may be missing, as in the official
// logs. Error, which names file and line, for anything else. With `torn`, a line that is no JSON
// object, because a kill or a full disk has cut it short, is passed over, as is one whose epoch
// does not grow; and a file without a line is no error.
std::vector<EpochLog> read_log(const std::string& path, bool torn = false);

// summary.csv: timm's columns (epoch, train_loss, eval_loss, eval_top1, eval_top5, lr; of other
// scores eval_<name>), then, where any line has them, those of the averaged weights
// (eval_ema_loss, eval_ema_top1, eval_ema_top5). A number that is not there, or not finite, is an
// empty field.
std::string summary_csv(const std::vector<EpochLog>& log);

// A log with the name that people know it by.
struct Curve {
  std::string name;
  std::vector<EpochLog> epochs;
};

// Our first score less theirs at the end of the same epoch, in points; nothing where they have no
// such epoch, or another score.
std::optional<double> score_difference(const EpochLog& ours, const Curve& theirs);

}  // namespace rmt::train
