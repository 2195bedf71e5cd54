// A mask as pixels: which of them an object covers.
#pragma once
#include <cstdint>
#include <vector>

namespace rmt::data {

struct Bitmap {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> on;  // (H, W), row-major, 0 or 1
};

}  // namespace rmt::data
