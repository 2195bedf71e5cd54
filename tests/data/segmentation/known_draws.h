// Chances that a script can repeat, and the hash by which it describes pixels (tests/golden/
// seg_pipeline.py).
#pragma once
#include <string>
#include <vector>

#include "data/images/draws.h"

namespace rmt {

// A number in [0, 1), of 24 bits, for a name: FNV-1a and the last steps of SplitMix64.
inline double known_unit(const std::string& name) {
  uint64_t z = 0xCBF29CE484222325;
  for (const char c : name) z = (z ^ uint8_t(c)) * 0x100000001B3;
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return double((z ^ (z >> 31)) >> 40) / double(1 << 24);
}

// The numbers of name.0, name.1, ...; `taken` counts them.
inline data::Draws known_draws(const std::string& name, int& taken) {
  taken = 0;
  return {[name, &taken] { return known_unit(name + "." + std::to_string(taken++)); }};
}

// The sum of value (index 2654435761 mod 2^32) mod 2^32 over all bytes.
inline uint32_t pixel_hash(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += uint32_t(i) * 2654435761u * bytes[i];
  return sum;
}

// (R, G, B) -> (B, G, R), in which OpenCV holds images.
inline std::vector<uint8_t> blue_first(std::vector<uint8_t> rgb) {
  for (size_t i = 0; i + 2 < rgb.size(); i += 3) std::swap(rgb[i], rgb[i + 2]);
  return rgb;
}

}  // namespace rmt
