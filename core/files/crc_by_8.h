// A CRC of 32 bits by tables, eight bytes a step: what crc32.cpp and crc32c.cpp differ in is the
// polynomial alone.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rmt {

static_assert(std::endian::native == std::endian::little, "eight bytes are read as one number");

// tables[k][b]: what a byte b leaves after itself and k zero bytes. Eight bytes at once are eight
// independent look-ups ("slicing by 8").
using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

// Of the polynomial with its bits reflected.
constexpr CrcTables crc_tables(uint32_t polynomial) {
  CrcTables t{};
  for (uint32_t b = 0; b < 256; ++b) {
    t[0][b] = b;
    for (int bit = 0; bit < 8; ++bit) t[0][b] = t[0][b] >> 1 ^ (t[0][b] & 1 ? polynomial : 0);
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t b = 0; b < 256; ++b) t[k][b] = t[k - 1][b] >> 8 ^ t[0][t[k - 1][b] & 255];
  return t;
}

// `before`: the CRC of the bytes before these, 0 where there are none.
inline uint32_t crc_by_8(const CrcTables& tables, const void* data, size_t bytes, uint32_t before) {
  const auto* p = static_cast<const unsigned char*>(data);
  uint32_t crc = ~before;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint64_t x;
    std::memcpy(&x, p, 8);
    x ^= crc, crc = 0;
    for (int k = 0; k < 8; ++k) crc ^= tables[size_t(7 - k)][x >> 8 * k & 255];
  }
  for (; bytes > 0; --bytes, ++p) crc = crc >> 8 ^ tables[0][(crc ^ *p) & 255];
  return ~crc;
}

}  // namespace rmt
