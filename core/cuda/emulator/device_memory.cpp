#include "core/cuda/emulator/device_memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "core/cuda/emulator/guard.h"
#include "core/cuda/emulator/machine.h"
#include "core/error.h"

namespace rmt::emulator {
namespace {

// A block's bytes and the gap behind them, which ends at a multiple of kGap and is from kGap to
// 2 kGap - 1 bytes long.
size_t extent(size_t bytes) { return (bytes + kGap - 1) / kGap * kGap + kGap; }

// Do the n bytes from p on lie in one entry of `blocks`?
template <class Map>
bool inside_one(const Map& blocks, const void* p, size_t n) {
  auto it = blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (it == blocks.begin()) return false;
  --it;
  return static_cast<const char*>(p) + n <= it->first + it->second;
}

}  // namespace

DeviceMemory& memory = *new DeviceMemory;
std::map<const char*, size_t>& pinned = *new std::map<const char*, size_t>;

bool is_pinned(const void* p, size_t n) { return inside_one(pinned, p, n); }
bool DeviceMemory::contains(const void* p, size_t n) const { return inside_one(blocks_, p, n); }

size_t DeviceMemory::bytes_from(const void* p) const {
  auto it = blocks_.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (it == blocks_.begin()) return 0;
  --it;
  const char* end = it->first + it->second;
  return p < end ? size_t(end - static_cast<const char*>(p)) : 0;
}

size_t DeviceMemory::size() {
  reserve();
  return std::min(size_, settings().device_memory);
}

void DeviceMemory::reserve() {
  if (base_) return;
  size_ = settings().device_memory;
  void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(p != MAP_FAILED, "emulator: no ", size_ >> 20,
        " MiB of address space for the device's memory; set Settings::device_memory");
  base_ = poisoned_ = static_cast<char*>(p);
}

void* DeviceMemory::take(size_t bytes) {
  if (bytes > size() || used_ > size() - bytes) return nullptr;
  char* p = base_ + kGap;
  for (const auto& [q, n] : blocks_) {
    if (q - kGap >= p + extent(bytes)) break;
    p = q + extent(n) + kGap;
  }
  char* end = p + extent(bytes);
  if (end > base_ + size_) return nullptr;
  if (end > poisoned_) {
    poison(poisoned_, end + kGap - poisoned_);
    poisoned_ = end + kGap;
  }
  blocks_[p] = bytes;
  unpoison(p - kGap, kGap + extent(bytes));
  if (!settings().dry) std::memset(p, kFresh, bytes);
  make_gap(p - kGap, kGap);
  make_gap(p + bytes, extent(bytes) - bytes);
  used_ += bytes;
  return p;
}

// Hands the whole pages inside [p, p + n) back to the system, for Access has the kernel walk
// through every page that is there. They read as zeros until a block is taken there again.
static void drop_pages(char* p, size_t n) {
  constexpr uintptr_t kPage = 4096;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(p) + kPage - 1) / kPage * kPage;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(p) + n) / kPage * kPage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

bool DeviceMemory::give(void* block, std::string* damage) {
  auto it = blocks_.find(static_cast<char*>(block));
  if (it == blocks_.end()) return false;
  *damage = damage_of(*it);
  poison(it->first - kGap, kGap + extent(it->second));
  if (it->second >= 1 << 18) drop_pages(it->first, it->second);
  used_ -= it->second;
  blocks_.erase(it);
  return true;
}

std::string DeviceMemory::damage() {
  for (const Block& block : blocks_)
    if (std::string text = damage_of(block); !text.empty()) return text;
  return {};
}

std::string DeviceMemory::damage_of(const Block& block) {
  const auto [p, n] = block;
  const int64_t before = gap_damage(p - kGap, kGap);
  const int64_t behind = gap_damage(p + n, extent(n) - n);
  if (behind >= 0)
    return str("device memory was written ", behind, " bytes behind the end of a block of ", n,
               " bytes");
  if (before >= 0)
    return str("device memory was written ", kGap - size_t(before), " bytes before a block of ", n,
               " bytes");
  return {};
}

Access::Access() {
  if (memory.open_++ > 0 || !memory.locked_) return;
  memory.locked_ = false;
  mprotect(memory.base_, memory.size_, PROT_READ | PROT_WRITE);
}

Access::~Access() {
  if (--memory.open_ > 0 || !settings().lock_memory || !memory.base_) return;
  memory.locked_ = mprotect(memory.base_, memory.size_, PROT_NONE) == 0;
}

}  // namespace rmt::emulator
