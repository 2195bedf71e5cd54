// What the emulator's two halves share: a kernel to run (emulator.cpp), and the gaps that both put
// around memory.
#pragma once
#include <array>
#include <string>

#include "core/cuda/emulator/emulator.h"
#include "core/error.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace rmt::emulator {

struct Work {
  std::string kernel;
  dim3 grid, block;
  size_t shared;
  std::function<void()> body;
};
void run(const Work& work);

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAsan = true;
inline void poison(const void* p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(const void* p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

inline constexpr int kFresh = 0xff;  // fresh memory: all ones is a NaN in every float type

// Gaps lie around each block of memory, to notice who writes beyond its end. ASan sees every
// access; without it their pattern is compared later: the 16-bit words 0xfffb, a NaN in every float
// type for those who read it, and neither 0xff.. nor -1 for those who write.
inline constexpr size_t kGap = 256;
inline constexpr std::array<char, 4 * kGap> kGapPattern = [] {
  std::array<char, 4 * kGap> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = char(i & 1 ? 0xff : 0xfb);
  return bytes;
}();

inline void make_gap(char* p, size_t n) {
  std::memcpy(p, kGapPattern.data() + (uintptr_t(p) & 1), n);
  poison(p, n);
}

// The index of the first byte that was overwritten, or -1. Then the gap is whole again.
inline int64_t gap_damage(char* p, size_t n) {
  const char* pattern = kGapPattern.data() + (uintptr_t(p) & 1);
  if (kAsan || std::memcmp(p, pattern, n) == 0) return -1;
  const int64_t at = std::mismatch(p, p + n, pattern).first - p;
  make_gap(p, n);
  return at;
}

}  // namespace rmt::emulator
