#include "train/stop.h"

#include <unistd.h>

#include <atomic>

namespace rmt::train {
namespace {

std::atomic<int> received{0};  // lock-free, so that the handler may touch it

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGHUP};

// A terminal that closes may say SIGHUP twice, by its shell and by the kernel, and systemd says it
// after SIGTERM: never does it mean "at once".
void on_signal(int signal) {
  int none = 0;
  if (received.compare_exchange_strong(none, signal) || signal == SIGHUP) return;
  ::signal(signal, SIG_DFL);  // the shell sees a process that this signal ended
  ::raise(signal);
}

}  // namespace

StopSignals::StopSignals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < 3; ++i) {
    sigaction(kSignals[i], &action, &before_[i]);
    if (kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN)  // nohup rmt-train ...
      sigaction(SIGHUP, &before_[i], nullptr);
  }
}

StopSignals::~StopSignals() {
  for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

bool StopSignals::requested() { return received != 0; }
const char* StopSignals::name() {
  return received == SIGINT ? "SIGINT" : received == SIGHUP ? "SIGHUP" : "SIGTERM";
}
void StopSignals::forget() { received = 0; }

}  // namespace rmt::train
