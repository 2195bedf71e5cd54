// f16, IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits. It is no type of tensors: files
// hold it, and memory holds f32.
//
//   exponent 1 ... 30   (1 + mantissa / 2^10) 2^(exponent - 15)
//   exponent 0          mantissa 2^-24
//   exponent 31         infinity where the mantissa is 0, else NaN
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace rmt {

inline float from_half(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 0) return std::copysign(std::ldexp(float(mantissa), -24), sign ? -1.f : 1.f);
  return std::bit_cast<float>(sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) |
                              mantissa << 13);
}

// To nearest, ties to even; NaN stays NaN. The largest finite f16 is 65504; 65520 lies half-way to
// 2^16, and whatever is as large becomes infinite.
inline uint16_t to_half(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits >> 16 & 0x8000,
                 magnitude = bits & 0x7fffffff;
  const float size = std::bit_cast<float>(magnitude);
  if (x != x) return uint16_t(sign | 0x7e00);
  if (size >= 65520) return uint16_t(sign | 0x7c00);
  // Below 2^-14 the numbers are 2^-24 apart. The product is exact, and 1024 is 2^-14 itself.
  if (size < 0x1p-14f) return uint16_t(sign | uint32_t(std::nearbyint(size * 0x1p24f)));
  // The exponent's bias is 127 here and 15 there; a mantissa that rounds up to 2 carries into it.
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | ((rounded >> 13) - (112 << 10)));
}

}  // namespace rmt
