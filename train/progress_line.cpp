#include "train/progress_line.h"

#include <unistd.h>

#include <cstdio>

namespace rmt {

std::string hours_minutes_seconds(double seconds) {
  long long s = static_cast<long long>(seconds + 0.5);
  char text[32];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return text;
}

ProgressLine::ProgressLine(int64_t interval, int64_t steps_to_go) : interval_(interval), to_go_(steps_to_go), terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(const StepReport& r) {
  ++done_;
  if (interval_ == 0) return;
  bool last = r.step + 1 == r.steps;
  if (terminal_ ? done_ > 1 && !last && repaint_.seconds() < 0.1 : (r.step + 1) % interval_ != 0) return;
  repaint_ = Stopwatch();
  double left = clock_.seconds() / double(done_) * double(to_go_ - done_);  // evaluations so far are part of the clock
  std::fprintf(stderr, "%sepoch %lld/%lld  step %lld/%lld  loss %.4f (mean %.4f)  lr %.3e  %.1f img/s  waiting for data %.0f %%  ETA %s%s",
               terminal_ ? "\r" : "", static_cast<long long>(r.epoch + 1), static_cast<long long>(r.epochs), static_cast<long long>(r.step + 1),
               static_cast<long long>(r.steps), r.loss, r.mean_loss, r.lr, r.images_per_s, 100 * r.waiting, hours_minutes_seconds(left).c_str(),
               terminal_ ? "\033[K" : "\n");
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (terminal_ && interval_ > 0) std::fputs("\r\033[K", stderr);
}

}  // namespace rmt
