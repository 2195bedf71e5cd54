// Random numbers by name, as tests/golden/coco_pipeline.py draws them: the i-th number of `key` is
// a function of the text "key.i".
#pragma once
#include <memory>
#include <string>

#include "data/images/draws.h"

namespace rmt {

// FNV-1a of the text, one step of SplitMix64, and its 24 upper bits.
inline double number_of(const std::string& text) {
  uint64_t z = 0xCBF29CE484222325;
  for (const char c : text) z = (z ^ uint8_t(c)) * 0x100000001B3;
  z += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return double((z ^ z >> 31) >> 40) / (1 << 24);
}

inline data::Draws counted_draws(const std::string& key) {
  const auto drawn = std::make_shared<int>(0);
  return {[=] { return number_of(key + "." + std::to_string((*drawn)++)); }};
}

}  // namespace rmt
