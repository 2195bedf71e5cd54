// cudaMemcpy and cudaMemset on the emulated device.
#include <cstring>
#include <memory>
#include <vector>

#include "core/cuda/emulator/device_memory.h"
#include "core/cuda/emulator/machine.h"
#include "core/cuda/emulator/runtime_api.h"
#include "core/cuda/emulator/streams.h"
#include "core/error.h"

using namespace rmt::emulator;

namespace {

// Each side where `kind` says: on the device inside one live block, on the host outside the arena.
void check_range(const char* what, const char* side, const void* p, size_t n, bool device) {
  if (device)
    CHECK(memory.contains(p, n), "emulator: ", what, ": ", side, ", ", n, " bytes at ", p,
          ", does not lie inside one live block of device memory");
  else
    CHECK(p && !memory.owns(p), "emulator: ", what, ": ", side, ", ", n, " bytes at ", p,
          ", is not host memory");
}

// Both sides must lie where `kind` says; cudaMemcpyDefault lets the addresses themselves say it.
void check_copy(const void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault) {
    to_device = memory.owns(to);
    from_device = memory.owns(from);
  }
  check_range("cudaMemcpy", "the destination", to, n, to_device);
  check_range("cudaMemcpy", "the source", from, n, from_device);
}

Op copy(void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  check_copy(to, from, n, kind);
  return [=] {
    check_copy(to, from, n, kind);  // again: lazily, blocks may have gone meanwhile
    if (settings().dry) {
      if (!memory.owns(to)) std::memset(to, 0, n);
      return;
    }
    Access access;
    std::memmove(to, from, n);
  };
}

}  // namespace

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
  note_copy("copy", to, from, bytes);
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
  if (!pageable_target) return cudaSuccess;
  counters().spins += !host_sleeps;
  finish(stream);
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
  note_copy("zero", p, nullptr, bytes);
  submit(stream, [=] {
    check();
    if (settings().dry) return;
    Access access;
    std::memset(p, value, bytes);
  });
  return cudaSuccess;
}
