// The runtime API on the emulated device: each function as CUDA documents it, as far as it is used
// here.
#include "core/cuda/emulator/runtime_api.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "core/cuda/emulator/device_memory.h"
#include "core/cuda/emulator/guard.h"
#include "core/cuda/emulator/machine.h"
#include "core/cuda/emulator/streams.h"
#include "core/error.h"

using namespace rmt::emulator;

// --- errors ---

namespace {

struct ErrorText {
  cudaError_t code;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
};

const ErrorText& text_of(cudaError_t error) {
  for (const ErrorText& e : kErrors)
    if (e.code == error) return e;
  static constexpr ErrorText unknown{cudaErrorInvalidValue, "cudaErrorUnknown", "unknown error"};
  return unknown;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

// --- the device ---

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return report(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaSetDeviceFlags(unsigned flags) {
  host_sleeps = flags & cudaDeviceScheduleBlockingSync;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return report(cudaErrorInvalidDevice);
  *properties = {
      .name = "rmt emulated device",
      .totalGlobalMem = memory.size(),
      .sharedMemPerBlockOptin = kMaxShared,
      .major = 9,
      .minor = 0,
      .multiProcessorCount = 132,
  };
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  Lock lock(api);
  return synchronize();
}

// --- memory ---

cudaError_t cudaMalloc(void** p, size_t bytes) {
  Lock lock(api);
  if (is_capturing()) return report(cudaErrorStreamCaptureUnsupported);
  Access access;
  *p = bytes ? memory.take(bytes) : nullptr;
  return report(bytes && !*p ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaFree(void* p) {
  Lock lock(api);
  if (!p) return cudaSuccess;
  if (is_capturing()) return report(cudaErrorStreamCaptureUnsupported);
  if (is_capturing(cudaStreamCaptureModeRelaxed))
    set_pending_error("emulator: cudaFree, which waits for the device, while a stream captures");
  std::string damage;
  try {
    for (cudaStream_t s : streams) finish(s);
  } catch (const std::exception& e) {
    set_pending_error(e.what());
  }
  Access access;
  if (!memory.give(p, &damage)) return report(cudaErrorInvalidValue);
  if (damage.empty()) return cudaSuccess;
  set_pending_error("emulator: at cudaFree: " + damage);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** p, size_t bytes) {
  Lock lock(api);
  *p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);  // CUDA's has a page to itself
  if (!*p) return report(cudaErrorMemoryAllocation);
  std::memset(*p, kFresh, bytes);
  pinned[static_cast<char*>(*p)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
  Lock lock(api);
  if (p && !pinned.erase(static_cast<char*>(p))) return report(cudaErrorInvalidValue);
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Lock lock(api);
  *total = memory.size();
  *free = *total - std::min(*total, memory.used());
  return cudaSuccess;
}

// --- streams ---

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  Lock lock(api);
  *stream = new CUstream_st;
  (*stream)->blocking = !(flags & cudaStreamNonBlocking);
  streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Lock lock(api);
  if (!stream || !std::erase(streams, stream)) return report(cudaErrorInvalidResourceHandle);
  try {
    finish(stream);
  } catch (const std::exception& e) {
    set_pending_error(e.what());
  }
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Lock lock(api);
  stream = resolve(stream);
  if (stream->capture) return report(cudaErrorStreamCaptureUnsupported);
  throw_pending_error();
  counters().spins += !host_sleeps;
  stream == &default_stream ? finish_blocking(nullptr) : finish(stream);
  check_gaps("at a synchronisation");
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Lock lock(api);
  stream = resolve(stream);
  if (!event->mark) return cudaSuccess;
  if (event->mark->capture && !stream->capture)
    stream->capture = event->mark->capture;  // the fork joins the capture
  submit(stream, [mark = event->mark] { finish(*mark); });
  return cudaSuccess;
}

// --- events ---

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st{.host_sleeps = (flags & cudaEventBlockingSync) != 0};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Lock lock(api);
  stream = resolve(stream);
  auto mark = std::make_shared<Mark>(stream, stream->capture);
  event->mark = mark;
  submit(stream, [mark] {
    mark->done = true;
    mark->time = std::chrono::steady_clock::now();
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Lock lock(api);
  if (!event->mark) return cudaSuccess;
  if (event->mark->capture) return report(cudaErrorStreamCaptureUnsupported);
  throw_pending_error();
  counters().spins += !event->host_sleeps;
  finish(*event->mark);
  check_gaps("at a synchronisation");
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  Lock lock(api);
  if (!start->mark || !end->mark) return report(cudaErrorInvalidResourceHandle);
  if (!start->mark->done || !end->mark->done) return report(cudaErrorNotReady);
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->mark->time - start->mark->time).count();
  return cudaSuccess;
}

// --- graphs ---

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  Lock lock(api);
  if (!stream) return report(cudaErrorStreamCaptureUnsupported);  // the default stream
  if (stream->capture) return report(cudaErrorIllegalState);
  stream->capture = new CUgraph_st;
  stream->mode = mode;
  stream->origin = true;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Lock lock(api);
  if (!stream || !stream->capture || !stream->origin) return report(cudaErrorIllegalState);
  *graph = stream->capture;
  for (cudaStream_t s : streams)
    if (s->capture == *graph) {
      s->capture = nullptr;
      s->origin = false;
    }
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Lock lock(api);
  *status = resolve(stream)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{graph->ops};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  Lock lock(api);
  submit(stream, [ops = exec->ops] {  // in the order of the capture
    for (const Op& op : ops) op();
  });
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
