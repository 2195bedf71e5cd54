#include "core/cuda/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/cuda/counted.h"
#include "core/cuda/event.h"
#include "core/cuda/graph.h"
#include "core/cuda/limits.h"
#include "core/cuda/pool.h"
#include "core/storage.h"

namespace rmt {

// "3 MiB", rounded up; small numbers in KiB.
static std::string in_words(size_t bytes) {
  const int shift = bytes < size_t(10) << 20 ? 10 : 20;
  return str((bytes + (size_t(1) << shift) - 1) >> shift, shift == 10 ? " KiB" : " MiB");
}

OutOfMemory::OutOfMemory(size_t asked_, size_t free_, size_t in_use_)
    : Error(str(
          "GPU out of memory: ", in_words(asked_), " asked for, ", in_words(free_), " free, ",
          in_words(in_use_),
          " held by tensors; a smaller batch or image size, or --grad-checkpointing, needs less")),
      asked(asked_),
      free(free_),
      in_use(in_use_) {}

bool debugging() {
  static const bool on = [] {
    const char* v = std::getenv("RMT_DEBUG");
    return v && *v && std::strcmp(v, "0") != 0;
  }();
  return on;
}

namespace cuda {
namespace {

__global__ void probe_kernel(int* x) { *x = 1; }

struct State {
  bool looked = false, found = false;
  int index = 0;
  std::string why;
  Info info;
  cudaStream_t stream = nullptr;
  bool tf32 = false;
};
State& state() {
  static State* s = new State;
  return *s;
}

std::string version(int v) { return str(v / 1000, ".", v % 1000 / 10); }

// Finds the device and runs one kernel on it; returns what went wrong, or "".
std::string look(State& s) {
  int count = 0;
  cudaError_t e = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&s.info.driver);
  cudaRuntimeGetVersion(&s.info.runtime);
  if (e == cudaErrorInsufficientDriver && s.info.driver > 0)
    return str("the driver supports CUDA ", version(s.info.driver), ", this program needs ",
               version(s.info.runtime), "; update the driver");
  if (e == cudaErrorInsufficientDriver) return "no NVIDIA driver is installed";
  if (e != cudaSuccess) return str("no usable GPU: ", cudaGetErrorString(e));
  if (s.index >= count) return str("there is no GPU number ", s.index, ", only ", count);
  cudaDeviceProp p{};
  // Whoever waits for the device sleeps: its processor makes batches meanwhile.
  if ((e = cudaSetDevice(s.index)) == cudaSuccess)
    e = cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync);
  if (e == cudaSuccess) e = cudaGetDeviceProperties(&p, s.index);
  if (e != cudaSuccess) return str("GPU ", s.index, " cannot be used: ", cudaGetErrorString(e));
  s.info.name = p.name;
  s.info.major = p.major;
  s.info.minor = p.minor;
  s.info.multiprocessors = p.multiProcessorCount;
  s.info.memory = p.totalGlobalMem;
  s.info.shared = p.sharedMemPerBlockOptin;
  if (p.major < 8)
    return str(p.name, " has compute capability ", p.major, ".", p.minor,
               "; 8.0 (Ampere) is the least that is supported");
  int* x = nullptr;
  if ((e = cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking)) == cudaSuccess)
    e = cudaMalloc(&x, sizeof(int));
  if (e != cudaSuccess) return str(p.name, " cannot be used: ", cudaGetErrorString(e));
  try {
    launch("probe", probe_kernel, dim3(1), dim3(1), 0, x);
    check(cudaStreamSynchronize(s.stream), "probe");
  } catch (const Error& error) {
    return str(p.name, " (compute capability ", p.major, ".", p.minor,
               ") does not run this program: ", error.what(),
               "; build with make CUDA=1 CUDA_ARCHS=", p.major, p.minor);
  }
  cudaFree(x);
  return "";
}

State& looked() {
  State& s = state();
  if (!s.looked) {
    s.looked = true;
    s.why = look(s);
    s.found = s.why.empty();
    cudaGetLastError();  // forget it
  }
  return s;
}

State& working() {
  State& s = looked();
  CHECK(s.found, "cuda: ", s.why);
  return s;
}

// Two pinned buffers through which host memory goes to the device: while one is on its way the
// other is filled.
class Staging {
 public:
  void send(void* to, const void* from, size_t bytes, cudaStream_t stream) {
    CHECK(!recording(),
          "copy to the GPU while a graph is recorded: it would repeat whatever the buffer holds by "
          "then");
    for (size_t done = 0; done < bytes;) {
      Slot& slot = slots_[next_ ^= 1];
      const size_t most = size_t(limits().staging_bytes);
      if (!slot.memory) {
        slot.bytes = most;
        check(cudaMallocHost(&slot.memory, slot.bytes), "pinned memory");
        slot.sent = std::make_unique<Event>();
      }
      const size_t n = std::min({most, slot.bytes, bytes - done});
      slot.sent->wait("copy to the GPU");
      std::memcpy(slot.memory, static_cast<const char*>(from) + done, n);
      check(cudaMemcpyAsync(static_cast<char*>(to) + done, slot.memory, n, cudaMemcpyHostToDevice,
                            stream),
            "copy to the GPU");
      slot.sent->record(stream);
      done += n;
    }
  }

 private:
  struct Slot {
    void* memory = nullptr;
    size_t bytes = 0;
    std::unique_ptr<Event> sent;
  };
  Slot slots_[2];
  int next_ = 0;
};

}  // namespace

bool emulated() {
#ifdef __CUDACC__
  return false;
#else
  return true;
#endif
}

void select(int index) {
  State& s = state();
  CHECK(!s.found || s.index == index, "cuda: GPU ", s.index,
        " is in use already; choose another before the first tensor is made on it");
  if (!s.found) s.looked = false;
  s.index = index;
  CHECK(available(), "cuda: ", s.why);
}

bool available() { return looked().found; }
const std::string& why_not() { return looked().why; }
const Info& info() { return working().info; }
cudaStream_t stream() { return state().stream; }
cudaStream_t use_stream(cudaStream_t stream) { return std::exchange(state().stream, stream); }

void* allocate(size_t bytes) {
  working();
  return Pool::current().take(bytes);
}
void release(void* p, size_t bytes) { Pool::give(p, bytes); }
void free_unused() {
  synchronize();
  Pool::trim();
}

size_t free_memory() {
  working();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "free memory");
  const size_t most = size_t(limits().memory), held = counted_bytes();
  return std::min(free, most - std::min(most, held));
}

void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  if (to_device == Device::cpu && from_device == Device::cpu) {
    std::memmove(to, from, bytes);
    return;
  }
  State& s = working();
  if (to_device == Device::cuda && from_device == Device::cpu) {
    static Staging* staging = new Staging;
    staging->send(to, from, bytes, s.stream);
    return;
  }
  const auto kind = to_device == Device::cuda ? cudaMemcpyDeviceToDevice : cudaMemcpyDeviceToHost;
  check(cudaMemcpyAsync(to, from, bytes, kind, s.stream), "copy");
  if (to_device == Device::cpu) synchronize();
}

void zero(void* p, size_t bytes) {
  if (bytes) check(cudaMemsetAsync(p, 0, bytes, working().stream), "zero");
}

void synchronize() { check(cudaStreamSynchronize(working().stream), "waiting for the GPU"); }

void allow_tf32(bool on) { state().tf32 = on; }
bool tf32_allowed() { return state().tf32; }

}  // namespace cuda
}  // namespace rmt
