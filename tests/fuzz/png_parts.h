// A PNG as its chunks, for mutation by structure.
#pragma once
#include "core/files/crc32.h"
#include "tests/fuzz/mutate.h"

namespace rmt::fuzz {

inline const std::string kPng = "\x89PNG\r\n\x1A\n";

// Type and data of each chunk.
inline Parts png_chunks(const std::string& bytes) {
  Parts parts{kPng};
  for (size_t at = kPng.size(); at + 12 <= bytes.size();) {
    const size_t length = std::min<size_t>(number_at(bytes, at, 4, true), bytes.size() - at - 12);
    parts.push_back(bytes.substr(at + 4, 4 + length));
    at += 12 + length;
  }
  return parts;
}

inline std::string png_of(const Parts& parts) {
  std::string out = kPng;
  for (const std::string& chunk : parts)
    if (chunk.size() >= 4 && chunk != kPng)
      out += number(chunk.size() - 4, 4, true) + chunk +
             number(crc32(chunk.data(), chunk.size()), 4, true);
  return out;
}

}  // namespace rmt::fuzz
