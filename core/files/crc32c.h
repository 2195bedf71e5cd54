// CRC-32C (Castagnoli): the remainder of the bytes, as a polynomial over bits, modulo x^32 +
// 0x1EDC6F41, bits reflected, begun and ended with all ones (RFC 3720, appendix B.4). It finds
// every flip of 1 to 3 bits and every burst of up to 32 in a file of less than 256 MiB, anything
// else with all but one chance in 2^32.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rmt {

// Of bytes that come in parts: crc32c(b, n, crc32c(a, m)) is that of a and b together.
uint32_t crc32c(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace rmt
