#include "core/cuda/pool.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "core/block_heap.h"
#include "core/cuda/counted.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/cuda/limits.h"
#include "core/storage.h"

namespace rmt::cuda {

constexpr size_t kGrain = 512;

struct Pool::Segments {
  BlockHeap heap;
  bool closed = false;  // its pool is gone
  void trim();
};

struct Pools {
  std::mutex mutex;
  std::vector<std::shared_ptr<Pool::Segments>> all;
  std::vector<void*> held_back;
  Pool* current = nullptr;

  static Pools& get() {
    // Never destroyed: tensors with static lifetime give their memory back at the very end.
    static Pools* p = new Pools;
    return *p;
  }
  static Pool* common() {
    static Pool* p = new Pool;
    return p;
  }
};

namespace {

size_t rounded(size_t bytes) { return (bytes + kGrain - 1) / kGrain * kGrain; }

void to_device(void* p) {
  if (recording())
    Pools::get().held_back.push_back(p);
  else
    counted_free(p);
}

// `size` bytes, or when there are fewer, just the `least` that are needed. Once more after unused
// segments went back to the device.
void* segment(size_t& size, size_t least) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (void* p = counted_malloc(size)) return p;
    if (attempt == 0 && !recording()) Pool::trim();
  }
  size = least;
  if (void* p = counted_malloc(size)) return p;
  throw OutOfMemory(least, free_memory(), memory_use(Device::cuda).live);
}

}  // namespace

void Pool::Segments::trim() {
  heap.release_ranges([](void* p, size_t) { to_device(p); });
}

Pool::Pool() : segments_(std::make_shared<Segments>()) {
  Pools& pools = Pools::get();
  std::lock_guard lock(pools.mutex);
  pools.all.push_back(segments_);
}

Pool::~Pool() {
  Pools& pools = Pools::get();
  std::lock_guard lock(pools.mutex);
  segments_->closed = true;
  segments_->trim();
  if (segments_->heap.empty()) std::erase(pools.all, segments_);
}

Pool& Pool::current() {
  Pools& pools = Pools::get();
  return pools.current ? *pools.current : *Pools::common();
}

Pool* Pool::use(Pool* pool) { return std::exchange(Pools::get().current, pool); }

void* Pool::take(size_t bytes) {
  size_t n = bytes;
  if (!limits().pieces && this == Pools::common()) return segment(n, n);
  n = rounded(bytes);
  if (void* p = segments_->heap.take(n)) return p;
  // Small requests share a segment; a large one gets its own size, so that what is left over does
  // not add up.
  size_t size = std::max(n, size_t(limits().segment_bytes));
  void* p = segment(size, n);
  segments_->heap.add_range(p, size);
  return segments_->heap.take(n);
}

void Pool::give(void* p, size_t bytes) {
  Pools& pools = Pools::get();
  std::lock_guard lock(pools.mutex);
  for (size_t i = 0; i < pools.all.size(); ++i) {
    Segments& s = *pools.all[i];
    if (!s.heap.owns(p)) continue;
    s.heap.give(p, rounded(bytes));
    if (s.closed) s.trim();
    if (s.closed && s.heap.empty()) pools.all.erase(pools.all.begin() + int64_t(i));
    return;
  }
  to_device(p);
}

void Pool::trim() { Pools::common()->segments_->trim(); }

void Pool::free_held_back() {
  for (void* p : std::exchange(Pools::get().held_back, {})) counted_free(p);
}

}  // namespace rmt::cuda
