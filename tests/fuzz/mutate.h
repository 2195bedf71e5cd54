// Mutation by structure. libFuzzer flips bytes, and a file with a checksum or with lengths is then
// refused at its first check, so that what lies behind is seldom met. FORMAT(name, split, join)
// tells how a file falls into parts (chunks, segments, entries, lines) and how parts become a file
// again, with the right lengths and checksums around whatever they hold. Then libFuzzer's changes
// go into one part at a time, and parts are taken out, doubled and exchanged.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace rmt::fuzz {

using Parts = std::vector<std::string>;

// Both take any bytes. join(split(x)) is x with its lengths and checksums mended.
struct Format {
  Parts (*split)(const std::string& bytes);
  std::string (*join)(const Parts& parts);
};

// The number at that place, little or big endian; and back.
inline uint64_t number_at(const std::string& s, size_t at, size_t bytes, bool big = false) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= uint64_t(uint8_t(s[at + i])) << 8 * (big ? bytes - 1 - i : i);
  return value;
}
inline std::string number(uint64_t value, size_t bytes, bool big = false) {
  std::string s(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) s[i] = char(value >> 8 * (big ? bytes - 1 - i : i));
  return s;
}
inline void put(std::string& s, size_t at, uint64_t value, size_t bytes) {
  if (at + bytes <= s.size()) s.replace(at, bytes, number(value, bytes));
}

inline std::string concatenated(const Parts& parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}

#ifdef RMT_FUZZ

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// One to three changes of the parts. Every second input is changed as if it had no structure, so
// that broken lengths and checksums are met, too.
inline size_t mutate(const Format& format, uint8_t* data, size_t size, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  const auto below = [&](size_t n) { return size_t(random() % n); };
  if (below(2) == 0) return LLVMFuzzerMutate(data, size, most);
  Parts parts = format.split({reinterpret_cast<const char*>(data), size});
  if (parts.empty()) return LLVMFuzzerMutate(data, size, most);
  for (size_t changes = 1 + below(3); changes > 0 && !parts.empty(); --changes) {
    const size_t i = below(parts.size()), j = below(parts.size());
    const size_t kind = below(10);
    if (kind == 0) {
      parts.erase(parts.begin() + std::ptrdiff_t(i));
    } else if (kind == 1) {
      const std::string copy = parts[i];
      parts.insert(parts.begin() + std::ptrdiff_t(j), copy);
    } else if (kind == 2) {
      std::swap(parts[i], parts[j]);
    } else {
      std::string& part = parts[i];
      const size_t before = part.size();
      part.resize(before + 64);
      part.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(part.data()), before, part.size()));
    }
  }
  const std::string out = format.join(parts);
  if (out.empty() || out.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}

#define FORMAT(name, split, join)                                                        \
  extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, \
                                            unsigned seed) {                             \
    return rmt::fuzz::mutate({split, join}, data, size, max_size, seed);                 \
  }
#else
inline std::map<std::string, Format>& formats() {
  static std::map<std::string, Format> all;
  return all;
}
#define FORMAT(name, split, join)                       \
  [[maybe_unused]] static const bool formatted_##name = \
      rmt::fuzz::formats().emplace(#name, rmt::fuzz::Format{split, join}).second;
#endif

}  // namespace rmt::fuzz
