// The line that says how a run is going, on stderr: repainted in place on a terminal, one line
// every `interval` steps elsewhere (0: none).
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace rmt::train {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Where a run stands in the middle of an epoch.
struct StepReport {
  int64_t epoch, epochs, step, steps;  // of this epoch, counted from 0
  double loss, mean_loss, lr;
  double images_per_s, waiting;  // share of the time spent waiting for data
  double mfu = 0;                // model FLOPs utilization (train/peak.h); 0: not known, not shown
};

// "epoch 3/300  step 100/2502  loss 5.3799 (5.4010)  lr 1.20e-03  1510 img/s  MFU 12.3 %  wait 2 %
// ETA 31:05:09": the mean in brackets, the share of the time spent waiting for data. Less than 120
// characters.
std::string progress_text(const StepReport& report, double seconds_left);

// One line on stderr that is painted over where it stands, ten times a second at most. Only for a
// terminal.
class StatusLine {
 public:
  StatusLine();
  bool terminal() const { return terminal_; }
  void show(const std::string& text,
            bool now = false);  // `now`: even if the last one was less than a tenth of a second ago
  void clear();                 // before anything else is printed

 private:
  bool terminal_, painted_ = false;
  Stopwatch since_;
};

class ProgressLine {
 public:
  ProgressLine(int64_t interval, int64_t steps_to_go);  // of all epochs
  void show(const StepReport& report);                  // once a step
  void clear() { line_.clear(); }                       // before anything else is printed

 private:
  int64_t interval_, to_go_, done_ = 0;
  StatusLine line_;
  Stopwatch clock_;
};

// 3725 s -> "1:02:05"
std::string hours_minutes_seconds(double seconds);

}  // namespace rmt::train
