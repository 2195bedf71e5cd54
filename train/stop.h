// SIGTERM (a cluster that wants its machine back), SIGINT (Ctrl-C) and SIGHUP (a terminal that
// closes) ask a run to stop where it can go on later: the step is finished, the run saved.
#pragma once
#include <signal.h>

namespace rmt::train {

// While one lives, the first of these signals is only noted; a second SIGTERM or SIGINT ends the
// process at once, as if nobody had caught it. A SIGHUP that was ignored before (nohup) still is.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static bool requested();
  static const char* name();  // of the signal: "SIGTERM"
  static void forget();       // as if none had come

 private:
  struct sigaction before_[3];
};

}  // namespace rmt::train
