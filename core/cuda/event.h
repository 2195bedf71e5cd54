// A mark in a stream, for others to wait for. The host sleeps while it waits: its processors make
// the next batch meanwhile.
#pragma once
#include "core/cuda/launch.h"

namespace rmt::cuda {

class Event {
 public:
  Event() {
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming | cudaEventBlockingSync),
          "event");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Behind everything that the stream was given so far; what waited for the mark before is not
  // concerned.
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "event"); }
  // Waits for the last record(); not at all before the first.
  void wait(const char* what) { check(cudaEventSynchronize(event_), what); }
  // The same for what the stream is given from now on; the host goes on.
  void hold(cudaStream_t stream) { check(cudaStreamWaitEvent(stream, event_), "event"); }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace rmt::cuda
