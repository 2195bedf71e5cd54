// CRC-32 of IEEE 802.3, which zip and PNG files use: the remainder of the bytes, as a polynomial
// over bits, modulo the one that is written 0xedb88320 with its bits reflected. It is begun with
// all ones and inverted at the end. crc32("123456789") = 0xcbf43926.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rmt {

uint32_t crc32(const void* data, size_t bytes);

}  // namespace rmt
