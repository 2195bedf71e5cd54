#include "core/files/crc32.h"

#include <array>

namespace rmt {
namespace {

// table[i]: what eight steps of the division make of a byte i.
std::array<uint32_t, 256> remainders() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t r = i;
    for (int bit = 0; bit < 8; ++bit) r = r & 1 ? 0xedb88320u ^ (r >> 1) : r >> 1;
    table[i] = r;
  }
  return table;
}

}  // namespace

uint32_t crc32(const void* data, size_t bytes) {
  static const std::array<uint32_t, 256> table = remainders();
  const uint8_t* p = static_cast<const uint8_t*>(data);
  uint32_t crc = ~0u;
  for (size_t i = 0; i < bytes; ++i) crc = table[(crc ^ p[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

}  // namespace rmt
