#include "core/cuda/emulator/shared_memory.h"

#include "core/cuda/emulator/machine.h"
#include "core/error.h"

namespace rmt::emulator {

void SharedMemory::begin_block(size_t dynamic_bytes) {
  unpoison(arena_, used_);
  arrays_.clear();
  static_bytes_ = 0;
  used_ = 0;
  dynamic_ = dynamic_bytes;
  add(nullptr, 0, 128);
  add(nullptr, dynamic_, 128);
}

void* SharedMemory::array(const void* key, size_t bytes) {
  for (const Array& a : arrays_)
    if (a.key == key) return a.p;
  static_bytes_ += bytes;
  // As on hardware, where launch() has allowed the kernel all that there is.
  if (static_bytes_ > kStaticShared || static_bytes_ + dynamic_ > kMaxShared)
    fail(str("too much shared memory: ", static_bytes_, " bytes in static arrays and ", dynamic_,
             " dynamic; at most ", kStaticShared, " static and ", kMaxShared, " in all"));
  return add(key, bytes, 16);
}

void* SharedMemory::add(const void* key, size_t bytes, size_t align) {
  char* p = arena_ + (used_ + align - 1) / align * align;
  char* end = arena_ + (size_t(p - arena_) + bytes + kGap + 15) / 16 * 16;
  if (end > arena_ + sizeof arena_) fail("too many arrays in shared memory");
  std::memset(p, kFresh, bytes);
  make_gap(p + bytes, end - p - bytes);
  arrays_.push_back({key, p, bytes, end});
  used_ = end - arena_;
  return p;
}

bool SharedMemory::contains(const void* p, size_t n) const {
  for (const Array& a : arrays_)
    if (p >= a.p && static_cast<const char*>(p) + n <= a.p + a.bytes) return true;
  return false;
}

std::string SharedMemory::damage() {
  for (const Array& a : arrays_) {
    const int64_t at = gap_damage(a.p + a.bytes, a.end - a.p - a.bytes);
    if (at < 0) continue;
    if (&a == &arrays_[0])
      return str("write outside shared memory: ", kGap - at, " bytes before the dynamic part");
    return str("write outside shared memory: ", at, " bytes behind the end of ",
               a.key ? "a static array" : "the dynamic part", " of ", a.bytes, " bytes");
  }
  return {};
}

}  // namespace rmt::emulator
