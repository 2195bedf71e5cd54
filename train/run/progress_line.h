// The line on stderr that says how a run is going. On a terminal it is painted over where it
// stands; elsewhere, in a log file for example, there is a line every `interval` steps (0: none).
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
  int64_t epoch, epochs;  // this one, counted from 0, of so many
  int64_t step, steps;    // of the epoch, likewise
  double loss, mean_loss, lr;
  double images_per_s;
  double waiting;  // share of the time spent waiting for data, 0 to 1
  double mfu = 0;  // model FLOPs utilization (train/peak.h); 0: not known, not shown
};

// "epoch 3/300  step 100/2502  loss 5.3799 (5.4010)  lr 1.20e-03  1510 img/s  MFU 12.3 %  wait 2 %
// ETA 31:05:09". The loss in brackets is the epoch's mean so far. Less than 120 characters.
std::string progress_text(const StepReport& report, double seconds_left);

// One line on stderr that is painted over where it stands, ten times a second at most. It does
// nothing useful elsewhere: ask terminal() first.
class StatusLine {
 public:
  StatusLine();
  bool terminal() const { return terminal_; }
  // `now`: even if the last one was less than a tenth of a second ago.
  void show(const std::string& text, bool now = false);
  // To be called before anything else is printed.
  void clear();

 private:
  bool terminal_;
  bool painted_ = false;
  Stopwatch since_;
};

class ProgressLine {
 public:
  // `steps_to_go`: of all epochs together, for the time that is left.
  ProgressLine(int64_t interval, int64_t steps_to_go);
  // To be called once a step.
  void show(const StepReport& report);
  // To be called before anything else is printed.
  void clear() { line_.clear(); }

 private:
  int64_t interval_;
  int64_t to_go_, done_ = 0;  // steps
  StatusLine line_;
  Stopwatch clock_;
};

// 3725 s -> "1:02:05"
std::string hours_minutes_seconds(double seconds);

}  // namespace rmt::train
