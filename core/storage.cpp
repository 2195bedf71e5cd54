#include "core/storage.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <set>

#include "core/error.h"

namespace rmt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUseHeap = false;  // so that ASan sees the end of every block
#else
constexpr bool kUseHeap = true;
#endif
constexpr size_t kAlign = 64, kSmall = size_t(1) << 16, kGrain = 4096;

// Best fit with coalescing over one reserved range of addresses. Pages are backed when first touched and then kept; huge pages are asked for.
class Heap {
 public:
  Heap() {
    if (!kUseHeap) return;
    size_t want = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGE_SIZE)) * 2;
    void* p = mmap(nullptr, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return;  // an address-space limit: plain aligned_alloc serves
    madvise(p, want, MADV_HUGEPAGE);
    base_ = static_cast<char*>(p);
    end_ = base_ + want;
    insert(base_, want);
  }

  void* take(size_t bytes) {
    std::lock_guard lock(mutex_);
    auto it = by_size_.lower_bound({bytes, nullptr});
    if (it == by_size_.end()) return nullptr;
    auto [size, p] = *it;
    erase(p, size);
    if (size > bytes) insert(p + bytes, size - bytes);
    return p;
  }

  bool owns(void* p) const { return p >= base_ && p < end_; }

  void give(void* block, size_t bytes) {
    std::lock_guard lock(mutex_);
    char* p = static_cast<char*>(block);
    auto next = by_address_.lower_bound(p);
    if (next != by_address_.end() && next->first == p + bytes) {
      bytes += next->second;
      auto dead = next++;
      erase(dead->first, dead->second);
    }
    if (next != by_address_.begin()) {
      auto previous = std::prev(next);
      if (previous->first + previous->second == p) {
        p = previous->first;
        bytes += previous->second;
        erase(previous->first, previous->second);
      }
    }
    insert(p, bytes);
  }

 private:
  void insert(char* p, size_t n) { by_address_[p] = n, by_size_.insert({n, p}); }
  void erase(char* p, size_t n) { by_address_.erase(p), by_size_.erase({n, p}); }

  char *base_ = nullptr, *end_ = nullptr;
  std::mutex mutex_;
  std::map<char*, size_t> by_address_;          // free ranges
  std::set<std::pair<size_t, char*>> by_size_;  // the same; smallest fit, then lowest address
};

Heap& heap() {
  static Heap* h = new Heap;  // never destroyed: tensors with static lifetime may outlive any order of destruction
  return *h;
}

std::atomic<size_t> live{0}, peak{0};

size_t rounded(size_t bytes) {
  size_t grain = bytes < kSmall ? kAlign : kGrain;
  return (std::max(bytes, size_t(1)) + grain - 1) / grain * grain;
}

}  // namespace

Storage::Storage(size_t bytes) : data_(nullptr), bytes_(bytes) {
  size_t n = rounded(bytes);
  CHECK(n >= bytes, "storage: ", bytes, " bytes is not a size that memory can have");
  if (n >= kSmall) data_ = heap().take(n);
  if (!data_) data_ = std::aligned_alloc(kAlign, n);
  CHECK(data_, "storage: out of memory allocating ", bytes >> 20, " MiB; ", live.load() >> 20, " MiB are in use. A smaller batch or image size needs less.");
  size_t now = live += n;
  for (size_t p = peak; p < now && !peak.compare_exchange_weak(p, now);) {
  }
}

Storage::~Storage() {
  size_t n = rounded(bytes_);
  live -= n;
  heap().owns(data_) ? heap().give(data_, n) : std::free(data_);
}

MemoryUse memory_use() { return {live, peak}; }
void reset_peak_memory() { peak = live.load(); }

}  // namespace rmt
