#include "core/cuda/pinned.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "core/block_heap.h"
#include "core/cuda/device.h"
#include "core/cuda/launch.h"
#include "core/cuda/limits.h"

namespace rmt::cuda {
namespace {

thread_local bool wanted = false;
std::atomic<bool> used{false};  // by anybody ever: programs without a GPU need not look further

// Segments that are divided and kept; where limits().pieces is off, blocks of their own.
struct Pinned {
  BlockHeap heap;
  std::mutex mutex;                     // guards alone
  std::map<const char*, size_t> alone;  // address, bytes

  static Pinned& get() {
    // Never destroyed: tensors with static lifetime give their memory back at the very end.
    static Pinned* p = new Pinned;
    return *p;
  }
};

void* from_system(size_t bytes) {
  void* p = nullptr;
  if (cudaMallocHost(&p, bytes) == cudaSuccess) return p;
  cudaGetLastError();
  return nullptr;
}

}  // namespace

PinnedMemory::PinnedMemory(bool on) : before_(std::exchange(wanted, on)) {}
PinnedMemory::~PinnedMemory() { wanted = before_; }

bool is_pinned(const void* p) {
  if (!used) return false;
  Pinned& pinned = Pinned::get();
  if (pinned.heap.owns(p)) return true;
  std::lock_guard lock(pinned.mutex);
  const char* at = static_cast<const char*>(p);
  const auto behind = pinned.alone.upper_bound(at);
  if (behind == pinned.alone.begin()) return false;
  const auto [begin, bytes] = *std::prev(behind);
  return at < begin + bytes;
}

void* take_pinned(size_t bytes) {
  if (!wanted || !available()) return nullptr;
  used = true;
  Pinned& pinned = Pinned::get();
  if (!limits().pieces) {
    void* p = from_system(bytes);
    std::lock_guard lock(pinned.mutex);
    if (p) pinned.alone[static_cast<const char*>(p)] = bytes;
    return p;
  }
  if (void* p = pinned.heap.take(bytes)) return p;
  for (size_t size : {std::max(bytes, size_t(limits().segment_bytes)), bytes})
    if (void* p = from_system(size)) {
      pinned.heap.add_range(p, size);
      return pinned.heap.take(bytes);
    }
  return nullptr;
}

bool give_pinned(void* p, size_t bytes) {
  if (!used) return false;
  Pinned& pinned = Pinned::get();
  if (pinned.heap.owns(p)) {
    pinned.heap.give(p, bytes);
    return true;
  }
  {
    std::lock_guard lock(pinned.mutex);
    if (pinned.alone.erase(static_cast<const char*>(p)) == 0) return false;
  }
  cudaFreeHost(p);
  return true;
}

}  // namespace rmt::cuda
