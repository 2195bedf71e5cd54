// Streams, events and graphs of the emulated device, below the runtime API that shows them.
//
// A stream is a queue of operations. What is submitted runs at once, unless Settings::lazy leaves
// it in the queue until somebody waits; a stream that captures appends it to a graph in the place
// of its queue.
//
//     launch, copy, event -> submit --+-> queue -> finish() runs it: at once, or at a wait
//                                     +-> graph, while the stream captures; cudaGraphLaunch
//                                         submits all of it as one operation
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/cuda/emulator/runtime_api.h"

namespace rmt::emulator {

using Op = std::function<void()>;

// An event as one call of cudaEventRecord left it.
struct Mark {
  cudaStream_t stream;
  cudaGraph_t capture;
  bool done = false;
  std::chrono::steady_clock::time_point time;
};

}  // namespace rmt::emulator

struct CUgraph_st {
  std::vector<rmt::emulator::Op> ops;
};
struct CUgraphExec_st {
  std::vector<rmt::emulator::Op> ops;
};
struct CUevent_st {
  std::shared_ptr<rmt::emulator::Mark> mark = nullptr;  // null: never recorded
  bool host_sleeps = false;                             // while it waits, else it spins
};
struct CUstream_st {
  bool blocking = true;  // waits for the default stream and is waited for by it
  std::deque<rmt::emulator::Op> queue;
  cudaGraph_t capture = nullptr;  // where operations go in the place of the queue
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool origin = false;  // the capture began here
};

namespace rmt::emulator {

// One OS thread at a time is inside the API.
extern std::recursive_mutex& api;
using Lock = std::lock_guard<std::recursive_mutex>;

extern CUstream_st& default_stream;
extern std::vector<cudaStream_t>& streams;  // those that live, the default one first

// The code is what cudaGetLastError will say, unless it is success.
cudaError_t report(cudaError_t code);
extern cudaError_t last_error;
extern bool host_sleeps;  // while it waits for a stream (cudaSetDeviceFlags), else it spins

// A message that was found where nothing may be thrown: the next operation throws it.
void set_pending_error(std::string message);
void throw_pending_error();

// Throws when something was written beside a block of device memory.
void check_gaps(const std::string& when);

cudaStream_t resolve(cudaStream_t stream);  // null is the default stream
// Does any stream capture in a mode as strict as `loosest`, or a stricter one? All modes but the
// relaxed one forbid waiting for the device meanwhile.
bool is_capturing(cudaStreamCaptureMode loosest = cudaStreamCaptureModeThreadLocal);

void submit(cudaStream_t stream, Op op);
void finish(cudaStream_t stream);           // runs what is in its queue
void finish(const Mark& mark);              // runs what its stream holds up to the mark
void finish_blocking(cudaStream_t except);  // all blocking streams but that one
cudaError_t synchronize();                  // all streams

}  // namespace rmt::emulator
