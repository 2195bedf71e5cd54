#include "core/storage.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "core/block_heap.h"
#include "core/cuda/device.h"
#include "core/cuda/pinned.h"
#include "core/error.h"

namespace rmt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUseHeap = false;  // so that ASan sees the end of every block
#else
constexpr bool kUseHeap = true;
#endif
constexpr size_t kAlign = 64, kSmall = size_t(1) << 16, kGrain = 4096;

// One reserved range of addresses: pages are backed when first touched and then kept; huge pages
// are asked for. Never destroyed: tensors with static lifetime may outlive any order of
// destruction.
BlockHeap& heap() {
  static BlockHeap* heap = [] {
    BlockHeap* h = new BlockHeap;
    const size_t bytes = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGE_SIZE)) * 2;
    void* p = kUseHeap ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                       : MAP_FAILED;
    if (p == MAP_FAILED) return h;  // an address-space limit: plain aligned_alloc serves
    madvise(p, bytes, MADV_HUGEPAGE);
    h->add_range(p, bytes);
    return h;
  }();
  return *heap;
}

// Bytes in use on a device.
struct Count {
  std::atomic<size_t> live{0}, peak{0};
  void add(size_t n) {
    size_t now = live += n;
    for (size_t p = peak; p < now && !peak.compare_exchange_weak(p, now);) {
    }
  }
};
Count& count(Device device) {
  static Count counts[2];
  return counts[device == Device::cuda];
}

size_t rounded(size_t bytes) {
  size_t grain = bytes < kSmall ? kAlign : kGrain;
  return (std::max(bytes, size_t(1)) + grain - 1) / grain * grain;
}

}  // namespace

Storage::Storage(size_t bytes, Device device) : data_(nullptr), bytes_(bytes), device_(device) {
  const size_t n = rounded(bytes), live = count(device).live;
  CHECK(n >= bytes, "storage: ", bytes, " bytes is not a size that memory can have");
  if (device == Device::cuda) {
    data_ = cuda::allocate(n);
  } else {
    data_ = cuda::take_pinned(n);
    if (!data_ && n >= kSmall) data_ = heap().take(n);
    if (!data_) data_ = std::aligned_alloc(kAlign, n);
    CHECK(data_, "storage: out of memory allocating ", bytes >> 20, " MiB; ", live >> 20,
          " MiB are in use. A smaller batch or image size needs less.");
  }
  count(device).add(n);
}

Storage::~Storage() {
  const size_t n = rounded(bytes_);
  count(device_).live -= n;
  if (device_ == Device::cuda)
    cuda::release(data_, n);
  else if (heap().owns(data_))
    heap().give(data_, n);
  else if (!cuda::give_pinned(data_, n))
    std::free(data_);
}

MemoryUse memory_use(Device device) { return {count(device).live, count(device).peak}; }
void reset_peak_memory(Device device) { count(device).peak = count(device).live.load(); }

}  // namespace rmt
