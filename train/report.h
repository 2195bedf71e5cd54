// What a run tells people while it goes: the progress line (train/run/progress_line.h), a line an
// epoch, the steps that did not count.
#pragma once
#include <ostream>

#include "train/checkpoint.h"
#include "train/options.h"
#include "train/run/epoch_log.h"
#include "train/run/progress_line.h"

namespace rmt::train {

class Report {
 public:
  // `out` receives the line an epoch, with top-5 where so many classes give it a meaning
  // (train/metrics.h); all else goes to stderr.
  Report(const TrainOptions& options, int64_t steps_an_epoch, int64_t classes, std::ostream& out);
  // For the progress line: a forward pass's multiply-adds an image, and what the device could do in
  // a second (train/peak.h).
  void show_utilization(int64_t multiply_adds, double peak);

  void begin_run(const Progress& progress);
  void begin_epoch(const EpochSums& now);
  // Shows the step that `now` has just counted, and brings now.seconds up to date. waited: seconds
  // of this epoch that the loop has spent waiting for images.
  void step(int64_t epoch, EpochSums& now, double lr, double loss, double waited);
  void skipped(int64_t step, const std::string& why, int64_t in_a_row);
  void epoch(const EpochLog& log, bool best, const Curve& compare);
  std::ostream& line();  // `out`, with the progress line out of the way
  void clear();          // the progress line, before something else writes to stderr

 private:
  TrainOptions options_;
  int64_t steps_;
  bool top5_;
  std::ostream& out_;
  ProgressLine progress_line_{0, 0};
  int64_t multiply_adds_ = 0;
  double peak_ = 0;

  // Of the epoch: what had been done before this process went on with it.
  Stopwatch clock_;
  double seconds_before_ = 0;
  int64_t images_before_ = 0;
};

}  // namespace rmt::train
