// How the emulator notices who reads memory before it is written, and who accesses what lies beside
// it. Fresh memory is NaN. A gap lies around each array in shared memory and each block of device
// memory:
//
//     | gap | block of 100 bytes | gap | next block ...
//           x                    x
//           a write here, or there, is damage to a gap
//
// ASan is told that nobody may touch a gap and reports the very access. Without it the gap's
// pattern is compared with what it was: after a kernel, at a synchronisation, at a free.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace rmt::emulator {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAsan = true;
inline void poison(const void* p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(const void* p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

// Fresh memory holds this byte: all ones is a NaN in every float type.
inline constexpr int kFresh = 0xff;

// The bytes of a gap are the 16-bit words 0xfffb: a NaN in every float type for those who read
// them, and neither 0xff.. nor -1, which a kernel might write by chance.
inline constexpr size_t kGap = 256;
inline constexpr std::array<char, 4 * kGap> kGapPattern = [] {
  std::array<char, 4 * kGap> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = char(i & 1 ? 0xff : 0xfb);
  return bytes;
}();

// n bytes from p on, at most as many as the pattern has, become a gap.
inline void make_gap(char* p, size_t n) {
  std::memcpy(p, kGapPattern.data() + (uintptr_t(p) & 1), n);
  poison(p, n);
}

// The index of the first byte of the gap that was overwritten, or -1. The gap is whole afterwards.
// Under ASan nobody gets so far: the write itself is reported.
inline int64_t gap_damage(char* p, size_t n) {
  const char* pattern = kGapPattern.data() + (uintptr_t(p) & 1);
  if (kAsan || std::memcmp(p, pattern, n) == 0) return -1;
  const int64_t at = std::mismatch(p, p + n, pattern).first - p;
  make_gap(p, n);
  return at;
}

}  // namespace rmt::emulator
