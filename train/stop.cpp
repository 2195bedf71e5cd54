#include "train/stop.h"

#include <unistd.h>

#include <atomic>

namespace rmt::train {
namespace {

std::atomic<int> received{0};  // lock-free, so that the handler may touch it

constexpr int kSignals[] = {SIGTERM, SIGINT};

void on_signal(int signal) {
  if (received.exchange(signal) == 0) return;
  ::signal(signal, SIG_DFL);  // the shell sees a process that this signal ended
  ::raise(signal);
}

}  // namespace

StopSignals::StopSignals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < 2; ++i) sigaction(kSignals[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  for (int i = 0; i < 2; ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

bool StopSignals::requested() { return received != 0; }
const char* StopSignals::name() { return received == SIGINT ? "SIGINT" : "SIGTERM"; }
void StopSignals::forget() { received = 0; }

}  // namespace rmt::train
