// Numbers as the bytes of a file: the lowest byte first. The pointer goes on behind them.
#pragma once
#include <cstdint>

namespace rmt {

inline void put_number(uint8_t*& to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) *to++ = uint8_t(value >> (8 * i));
}
inline uint64_t take_number(const uint8_t*& from, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= uint64_t(*from++) << (8 * i);
  return value;
}
inline uint32_t take_u32(const uint8_t*& from) { return uint32_t(take_number(from, 4)); }

}  // namespace rmt
