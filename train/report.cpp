#include "train/report.h"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "train/metrics.h"
#include "train/peak.h"

namespace rmt::train {

Report::Report(const TrainOptions& options, int64_t steps_an_epoch, int64_t classes,
               std::ostream& out)
    : options_(options), steps_(steps_an_epoch), top5_(has_top5(classes)), out_(out) {}

void Report::show_utilization(int64_t multiply_adds, double peak) {
  multiply_adds_ = multiply_adds;
  peak_ = peak;
}

void Report::begin_run(const Progress& progress) {
  const int64_t epochs_to_go = options_.epochs - progress.epoch;
  if (epochs_to_go <= 0)
    out_ << "all " << options_.epochs << " epochs are done; --epochs adds more" << std::endl;
  progress_line_ = ProgressLine(options_.log_interval, epochs_to_go * steps_ - progress.now.steps);
}

void Report::begin_epoch(const EpochSums& now) {
  clock_ = Stopwatch();
  seconds_before_ = now.seconds;
  images_before_ = now.images;
}

void Report::step(int64_t epoch, EpochSums& now, double lr, double loss, double waited) {
  const double seconds = clock_.seconds();
  const double images_per_s = double(now.images - images_before_) / seconds;
  const int64_t counted = now.judged - now.skipped;
  now.seconds = seconds_before_ + seconds;
  progress_line_.show({.epoch = epoch,
                       .epochs = options_.epochs,
                       .step = now.steps - 1,
                       .steps = steps_,
                       .loss = loss,
                       .mean_loss = now.loss / double(std::max<int64_t>(counted, 1)),
                       .lr = lr,
                       .images_per_s = images_per_s,
                       .waiting = waited / seconds,
                       .mfu = model_flops_utilization(multiply_adds_, images_per_s, peak_)});
}

void Report::skipped(int64_t step, const std::string& why, int64_t in_a_row) {
  clear();
  std::cerr << "step " << step << " skipped: " << why << " (" << in_a_row
            << " in a row, --max-skipped-steps " << options_.max_skipped_steps << ")" << std::endl;
}

void Report::epoch(const EpochLog& log, bool best, const Curve& compare) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(4) << "epoch " << log.epoch + 1 << "/" << options_.epochs
       << "  train loss " << log.train_loss;
  if (log.test.loss != 0) text << "  test loss " << log.test.loss;
  text << std::setprecision(2);
  for (const Score& s : log.test.scores) {
    if (s.name == "acc5" && !top5_) continue;
    text << "  " << title_of(s.name) << " " << s.value << " %";
    const auto average = log.test_ema ? log.test_ema->score(s.name) : std::nullopt;
    if (average && s.name != "acc5") text << " (average " << *average << " %)";
  }
  text << "  ";
  if (auto difference = score_difference(log, compare))
    text << std::showpos << *difference << std::noshowpos << " to " << compare.name << "  ";
  text << std::setprecision(1) << log.images_per_s << " img/s  " << log.seconds << " s"
       << (best ? "  best" : "");
  out_ << text.str() << std::endl;
}

std::ostream& Report::line() {
  clear();
  return out_;
}

void Report::clear() { progress_line_.clear(); }

}  // namespace rmt::train
