// The emulated device's memory, streams, events and graphs, and the runtime API on top of them.
#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cuda/emulator/parts.h"

namespace rmt::emulator {
namespace {

// --- device memory: one range of addresses, first fit, gap | block | gap ---

class DeviceMemory {
 public:
  // Opens the arena for as long as it lives, where Settings::lock_memory keeps it closed.
  struct Access {
    Access();
    ~Access();
  };

  void* take(size_t bytes) {
    if (bytes > size() || used_ > size() - bytes) return nullptr;
    char* p = base_ + kGap;
    for (const auto& [q, n] : blocks_) {
      if (q - kGap >= p + extent(bytes)) break;
      p = q + extent(n) + kGap;
    }
    char* end = p + extent(bytes);
    if (end > base_ + size_) return nullptr;
    if (end > poisoned_) poison(poisoned_, end + kGap - poisoned_), poisoned_ = end + kGap;
    blocks_[p] = bytes;
    unpoison(p - kGap, kGap + extent(bytes));
    std::memset(p, kFresh, bytes);
    make_gap(p - kGap, kGap);
    make_gap(p + bytes, extent(bytes) - bytes);
    used_ += bytes;
    return p;
  }

  bool give(void* block, std::string* damage) {
    auto it = blocks_.find(static_cast<char*>(block));
    if (it == blocks_.end()) return false;
    *damage = damage_of(*it);
    poison(it->first - kGap, kGap + extent(it->second));
    used_ -= it->second;
    blocks_.erase(it);
    return true;
  }

  std::string damage() {
    for (const auto& block : blocks_)
      if (std::string text = damage_of(block); !text.empty()) return text;
    return {};
  }

  bool owns(const void* p) const { return base_ && p >= base_ && p < base_ + size_; }

  bool contains(const void* p, size_t n) const {  // in one live block
    auto it = blocks_.upper_bound(static_cast<char*>(const_cast<void*>(p)));
    return it != blocks_.begin() &&
           (--it, static_cast<const char*>(p) + n <= it->first + it->second);
  }

  size_t size() { return reserve(), std::min(size_, settings().device_memory); }
  size_t used() const { return used_; }

 private:
  static size_t extent(size_t bytes) {
    return (bytes + kGap - 1) / kGap * kGap + kGap;
  }  // with the gap behind it, at most 2 kGap - 1 bytes long

  void reserve() {
    if (base_) return;
    size_ = settings().device_memory;
    void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED, "emulator: no ", size_ >> 20,
          " MiB of address space for the device's memory; set Settings::device_memory");
    base_ = poisoned_ = static_cast<char*>(p);
  }

  std::string damage_of(const std::pair<char* const, size_t>& block) {
    const auto [p, n] = block;
    const int64_t before = gap_damage(p - kGap, kGap), behind = gap_damage(p + n, extent(n) - n);
    if (behind >= 0)
      return str("device memory was written ", behind, " bytes behind the end of a block of ", n,
                 " bytes");
    if (before >= 0)
      return str("device memory was written ", kGap - size_t(before), " bytes before a block of ",
                 n, " bytes");
    return {};
  }

  char *base_ = nullptr, *poisoned_ = nullptr;  // ASan knows the arena up to here
  size_t size_ = 0, used_ = 0;
  std::map<char*, size_t> blocks_;
  int open_ = 0;
  bool locked_ = false;
};

DeviceMemory& memory = *new DeviceMemory;

DeviceMemory::Access::Access() {
  if (memory.open_++ == 0 && std::exchange(memory.locked_, false))
    mprotect(memory.base_, memory.size_, PROT_READ | PROT_WRITE);
}

DeviceMemory::Access::~Access() {
  if (--memory.open_ == 0 && settings().lock_memory && memory.base_)
    memory.locked_ = mprotect(memory.base_, memory.size_, PROT_NONE) == 0;
}

using Access = DeviceMemory::Access;

std::recursive_mutex& api = *new std::recursive_mutex;  // one OS thread at a time
using Lock = std::lock_guard<std::recursive_mutex>;
std::map<const char*, size_t>& pinned = *new std::map<const char*, size_t>;

bool is_pinned(const void* p, size_t n) {
  auto it = pinned.upper_bound(static_cast<const char*>(p));
  return it != pinned.begin() && (--it, static_cast<const char*>(p) + n <= it->first + it->second);
}

// --- streams, events, graphs ---

using Op = std::function<void()>;

// An event as one call of cudaEventRecord left it.
struct Mark {
  cudaStream_t stream;
  cudaGraph_t capture;
  bool done = false;
  std::chrono::steady_clock::time_point time;
};

cudaError_t last_error = cudaSuccess;
std::string& pending_error = *new std::string;  // found where nothing may be thrown

cudaError_t report(cudaError_t e) {
  if (e != cudaSuccess) last_error = e;
  return e;
}

void throw_pending() {
  if (!pending_error.empty()) throw Error(std::exchange(pending_error, {}));
}

void check_gaps(const std::string& when) {
  Access access;
  if (std::string text = memory.damage(); !text.empty())
    throw Error(str("emulator: ", when, ": ", text));
}

}  // namespace
}  // namespace rmt::emulator

struct CUgraph_st {
  std::vector<rmt::emulator::Op> ops;
};
struct CUgraphExec_st {
  std::vector<rmt::emulator::Op> ops;
};
struct CUevent_st {
  std::shared_ptr<rmt::emulator::Mark> mark;  // null: never recorded
};
struct CUstream_st {
  bool blocking = true;  // waits for the default stream and is waited for by it
  std::deque<rmt::emulator::Op> queue;
  cudaGraph_t capture = nullptr;  // instead of the queue
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool origin = false;  // the capture began here
};

namespace rmt::emulator {
namespace {

CUstream_st& default_stream = *new CUstream_st;
std::vector<cudaStream_t>& streams = *new std::vector<cudaStream_t>{&default_stream};

cudaStream_t resolve(cudaStream_t stream) { return stream ? stream : &default_stream; }
bool is_capturing() {
  return std::any_of(streams.begin(), streams.end(), [](cudaStream_t s) {
    return s->capture && s->mode != cudaStreamCaptureModeRelaxed;
  });
}

void run_first(cudaStream_t stream) {
  Op op = std::move(stream->queue.front());
  stream->queue.pop_front();
  try {
    op();
  } catch (...) {
    stream->queue.clear();  // what came after it has lost its meaning
    throw;
  }
}

void finish(cudaStream_t stream) {
  while (!stream->queue.empty()) run_first(stream);
}

void finish_blocking(cudaStream_t except) {
  for (cudaStream_t s : streams)
    if (s->blocking && s != except) finish(s);
}

void finish(const Mark& mark) {
  const bool alive = std::find(streams.begin(), streams.end(), mark.stream) != streams.end();
  while (alive && !mark.done && !mark.stream->queue.empty()) run_first(mark.stream);
}

void submit(cudaStream_t stream, Op op) {
  throw_pending();
  stream = resolve(stream);
  if (stream->capture) return stream->capture->ops.push_back(std::move(op));
  if (stream == &default_stream)
    finish_blocking(stream);  // one of the orders that CUDA may take, too
  else if (stream->blocking)
    finish(&default_stream);
  stream->queue.push_back(std::move(op));
  if (!settings().lazy) finish(stream);
}

cudaError_t synchronize() {
  if (is_capturing()) return report(cudaErrorStreamCaptureUnsupported);
  throw_pending();
  for (cudaStream_t s : streams) finish(s);
  check_gaps("at a synchronisation");
  throw_pending();
  return cudaSuccess;
}

// Each side where `kind` says: on the device inside one live block, on the host outside the arena.
void check_range(const char* what, const char* side, const void* p, size_t n, bool device) {
  if (device)
    CHECK(memory.contains(p, n), "emulator: ", what, ": ", side, ", ", n, " bytes at ", p,
          ", does not lie inside one live block of device memory");
  else
    CHECK(p && !memory.owns(p), "emulator: ", what, ": ", side, ", ", n, " bytes at ", p,
          ", is not host memory");
}

void check_copy(const void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  const bool any = kind == cudaMemcpyDefault;
  check_range(
      "cudaMemcpy", "the destination", to, n,
      any ? memory.owns(to) : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice);
  check_range(
      "cudaMemcpy", "the source", from, n,
      any ? memory.owns(from) : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice);
}

Op copy(void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  check_copy(to, from, n, kind);
  return [=] {
    check_copy(to, from, n, kind);  // again: lazily, blocks may have gone meanwhile
    Access access;
    std::memmove(to, from, n);
  };
}

}  // namespace

cudaError_t launch(const char* kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   Op body) {
  Lock lock(api);
  const bool empty = !grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z;
  if (empty || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 || block.x > 1024 ||
      block.y > 1024 || block.z > 64 || block.x * block.y * block.z > 1024)
    return report(cudaErrorInvalidConfiguration);
  if (shared > kMaxShared) return report(cudaErrorInvalidValue);
  submit(stream, [work = Work{kernel, grid, block, shared, std::move(body)}] {
    {
      Access access;
      run(work);
    }
    if (settings().check_canaries_each_launch) check_gaps("after kernel " + work.kernel);
  });
  return cudaSuccess;
}

cudaError_t enqueue(const char* name, cudaStream_t stream, Op work) {
  Lock lock(api);
  submit(stream, [name = std::string(name), work = std::move(work)] {
    {
      Access access;
      work();
    }
    if (settings().check_canaries_each_launch) check_gaps("after " + name);
  });
  return cudaSuccess;
}

void check_argument(const char* kernel, int index, const void* p) {
  Lock lock(api);
  CHECK(!p || memory.contains(p, 0) || is_pinned(p, 0), "emulator: kernel ", kernel, ": argument ",
        index, ", ", p, ", points neither to device memory nor to pinned host memory");
}

}  // namespace rmt::emulator

using namespace rmt::emulator;

// --- the runtime API ---

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
cudaError_t cudaPeekAtLastError() { return last_error; }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  return report(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return report(cudaErrorInvalidDevice);
  *properties = {"rmt emulated device",
                 memory.size(),
                 kStaticShared,
                 kMaxShared,
                 kMaxShared + 1024,
                 9,
                 0,
                 132,
                 32,
                 1024,
                 2048,
                 65536,
                 50 << 20};
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  Lock lock(api);
  return synchronize();
}

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
  std::string damage;
  try {
    for (cudaStream_t s : streams) finish(s);
  } catch (const std::exception& e) {
    pending_error = e.what();
  }
  Access access;
  if (!memory.give(p, &damage)) return report(cudaErrorInvalidValue);
  if (damage.empty()) return cudaSuccess;
  pending_error = "emulator: at cudaFree: " + damage;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** p, size_t bytes) {
  Lock lock(api);
  *p = std::malloc(bytes);
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

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  Lock lock(api);
  if (is_capturing()) return report(cudaErrorStreamCaptureUnsupported);
  if (bytes == 0) return cudaSuccess;
  submit(nullptr, copy(to, from, bytes, kind));
  finish(&default_stream);
  return cudaSuccess;
}

// As CUDA does: pageable host memory is read before the call returns, and written before it
// returns; only pinned memory is left to the stream.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Lock lock(api);
  if (bytes == 0) return cudaSuccess;
  stream = resolve(stream);
  Op op = copy(to, from, bytes, kind);
  const bool pageable_source = !memory.owns(from) && !is_pinned(from, bytes),
             pageable_target = !memory.owns(to) && !is_pinned(to, bytes);
  if (!stream->capture && settings().lazy && pageable_source) {
    auto staged = std::make_shared<std::vector<char>>(static_cast<const char*>(from),
                                                      static_cast<const char*>(from) + bytes);
    op = [=] {
      check_copy(to, staged->data(), bytes, kind);
      Access access;
      std::memcpy(to, staged->data(), bytes);
    };
  }
  submit(stream, std::move(op));
  if (pageable_target) finish(stream);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  return cudaMemsetAsync(p, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  Lock lock(api);
  if (bytes == 0) return cudaSuccess;
  auto check = [=] { check_range("cudaMemset", "the destination", p, bytes, true); };
  check();
  submit(stream, [=] {
    check();
    Access access;
    std::memset(p, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

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
    pending_error = e.what();
  }
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Lock lock(api);
  stream = resolve(stream);
  if (stream->capture) return report(cudaErrorStreamCaptureUnsupported);
  throw_pending();
  stream == &default_stream ? finish_blocking(nullptr) : finish(stream);
  check_gaps("at a synchronisation");
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Lock lock(api);
  stream = resolve(stream);
  if (!event->mark) return cudaSuccess;
  if (event->mark->capture && !stream->capture)
    stream->capture = event->mark->capture;  // the fork joins the capture
  submit(stream, [mark = event->mark] { finish(*mark); });
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }

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
  throw_pending();
  finish(*event->mark);
  check_gaps("at a synchronisation");
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  Lock lock(api);
  if (!start->mark || !end->mark) return report(cudaErrorInvalidResourceHandle);
  if (!start->mark->done || !end->mark->done) return report(cudaErrorNotReady);
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->mark->time - start->mark->time).count();
  return cudaSuccess;
}

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
    if (s->capture == *graph) s->capture = nullptr, s->origin = false;
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Lock lock(api);
  *status = resolve(stream)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return *exec = new CUgraphExec_st{graph->ops}, cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  Lock lock(api);
  submit(stream, [ops = exec->ops] {  // in the order of the capture
    for (const Op& op : ops) op();
  });
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
