// The pictures of tests/golden/pil_augment.py and pil_transform.py, and the hash by which results
// are compared with theirs.
#pragma once
#include <cstdio>
#include <string>

#include "data/images/image.h"

namespace rmt {
using namespace data;

// Blocks and a hash; at 64 pixels a faint slope, a faint pattern and a constant channel, for what
// looks at histograms.
inline Image formula_image(int64_t width, int64_t height) {
  Image image{width, height, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c) {
        int64_t noise = (x * 7919 + y * 104729 + c * 1299709) % 251,
                block = (x / 3 + y / 5 + c) % 2 * 255;
        int64_t faint = c == 0 ? 40 + x + y / 2 : c == 1 ? 90 + (x * x + 3 * y) % 60 : 77;
        image.rgb.push_back(uint8_t(width == 64 ? faint : (x + y) % 11 < 6 ? block : noise));
      }
  return image;
}

// FNV-1a of 64 bits, in hexadecimal.
inline std::string fnv(const void* bytes, size_t n) {
  uint64_t h = 0xCBF29CE484222325;
  for (size_t i = 0; i < n; ++i) h = (h ^ static_cast<const uint8_t*>(bytes)[i]) * 0x100000001B3;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
  return text;
}
inline std::string fnv(const std::vector<uint8_t>& bytes) {
  return fnv(bytes.data(), bytes.size());
}

}  // namespace rmt
