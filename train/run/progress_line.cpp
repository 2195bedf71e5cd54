#include "train/run/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace rmt::train {

// How many characters the terminal has in a line.
static size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 120;
}

std::string hours_minutes_seconds(double seconds) {
  long long s = static_cast<long long>(seconds + 0.5);
  char text[32];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return text;
}

std::string progress_text(const StepReport& r, double seconds_left) {
  auto n = [](int64_t x) { return static_cast<long long>(x); };
  auto digits = [](double loss) { return loss < 10 ? 4 : 3; };
  char mfu[32] = "", text[1024];
  if (r.mfu > 0) std::snprintf(mfu, sizeof mfu, "MFU %.1f %%  ", 100 * r.mfu);
  std::snprintf(text, sizeof text,
                "epoch %lld/%lld  step %lld/%lld  loss %.*f (%.*f)  lr %.2e  %.*f img/s  %swait "
                "%.0f %%  ETA %s",
                n(r.epoch + 1), n(r.epochs), n(r.step + 1), n(r.steps), digits(r.loss), r.loss,
                digits(r.mean_loss), r.mean_loss, r.lr, r.images_per_s < 1000, r.images_per_s, mfu,
                100 * r.waiting, hours_minutes_seconds(seconds_left).c_str());
  return std::string(text).substr(0, 119);
}

StatusLine::StatusLine() : terminal_(isatty(STDERR_FILENO) == 1) {}

void StatusLine::show(const std::string& text, bool now) {
  if (!terminal_ || (painted_ && !now && since_.seconds() < 0.1)) return;
  // \r goes back to the line's beginning, ESC [K clears what is left of the old one behind the
  // text. A text that the terminal wraps into a second line could not be painted over.
  std::fprintf(stderr, "\r%s\033[K", text.substr(0, terminal_width() - 1).c_str());
  std::fflush(stderr);
  painted_ = true;
  since_ = Stopwatch();
}

void StatusLine::clear() {
  if (painted_) std::fputs("\r\033[K", stderr);
  painted_ = false;
}

ProgressLine::ProgressLine(int64_t interval, int64_t steps_to_go)
    : interval_(interval), to_go_(steps_to_go) {}

void ProgressLine::show(const StepReport& r) {
  ++done_;
  if (interval_ == 0 || (!line_.terminal() && (r.step + 1) % interval_ != 0)) return;
  // The clock counts the evaluations so far as well, and so does what is left.
  const double seconds_a_step = clock_.seconds() / double(done_);
  const std::string text = progress_text(r, seconds_a_step * double(to_go_ - done_));
  if (line_.terminal())
    line_.show(text, r.step + 1 == r.steps);
  else
    std::fprintf(stderr, "%s\n", text.c_str());
}

}  // namespace rmt::train
