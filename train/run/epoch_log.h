// log.jsonl: what is known of each epoch, one JSON object a line, under the field names of the
// official code's logs, so that these are read as ours are. The other records of a run
// (summary.csv, curves.svg, TensorBoard's events) are drawn from it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rmt::train {

// The official log's fields under their names, then ours.
struct EpochLog {
  int64_t epoch = 0, n_parameters = 0;
  double train_loss = 0, train_lr = 0;                 // means over the epoch's steps
  double test_loss = 0, test_acc1 = 0, test_acc5 = 0;  // mean over the images; per cent
  std::optional<double> test_ema_loss, test_ema_acc1,
      test_ema_acc5;                     // the same of the averaged weights, where a run keeps them
  double seconds = 0, images_per_s = 0;  // of training, evaluation not included
  int64_t skipped_steps = 0;             // whose loss or gradient was not finite
  int64_t time = 0;                      // when the epoch ended, seconds since 1970
  std::vector<std::string> bad_images =
      {};  // "path: reason" of every image that could not be read and was replaced
};

std::string to_line(const EpochLog& log);  // without the '\n'

// One line. Only epoch, train_loss and test_acc1 must be there; Error, naming `source`, for
// anything else than an object with these as numbers.
EpochLog epoch_from_line(const std::string& line, const std::string& source);

// All lines of a file of at most 64 MiB, its epochs growing; some may be missing, as in the
// official logs. Error naming file and line. `torn`: lines that are no JSON object, which a kill or
// a full disk has cut short, are passed over, and no line at all is no error.
std::vector<EpochLog> read_log(const std::string& path, bool torn = false);

// summary.csv: timm's columns (epoch, train_loss, eval_loss, eval_top1, eval_top5, lr), then, where
// any line has them, those of the averaged weights (eval_ema_loss, eval_ema_top1, eval_ema_top5). A
// number that is not there, or not finite, is an empty field.
std::string summary_csv(const std::vector<EpochLog>& log);

// A log with the name that people know it by.
struct Curve {
  std::string name;
  std::vector<EpochLog> epochs;
};

// Our top-1 less theirs at the end of the same epoch, in points; nothing where they have no such
// epoch.
std::optional<double> top1_difference(const EpochLog& ours, const Curve& theirs);

}  // namespace rmt::train
