#include "core/half.h"

#include <gtest/gtest.h>

#include <limits>

namespace rmt::test {

TEST(Half, ValuesThatAreKnown) {
  EXPECT_EQ(from_half(0x3c00), 1.f);
  EXPECT_EQ(from_half(0xc000), -2.f);
  EXPECT_EQ(from_half(0x0001), 0x1p-24f);
  EXPECT_EQ(from_half(0x03ff), 1023 * 0x1p-24f);
  EXPECT_EQ(from_half(0x0400), 0x1p-14f);
  EXPECT_EQ(from_half(0x7bff), 65504.f);
  EXPECT_EQ(from_half(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(from_half(0x7c01)) && std::signbit(from_half(0x8000)));
  EXPECT_EQ(to_half(0.1f), 0x2e66);  // 1.1001100110|011... 2^-4 in binary
  EXPECT_EQ(to_half(1e-40f), 0);
  EXPECT_EQ(to_half(-std::numeric_limits<float>::infinity()), 0xfc00);
  const uint16_t none = to_half(-std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(from_half(none)));
}

// Rounding is monotonous, so it is right everywhere when it is right at every f16, half-way between
// every two neighbours, and on both sides next to that.
TEST(Half, EveryNumberStaysAndEveryTieGoesToTheEvenOne) {
  const float most = std::numeric_limits<float>::max();
  for (uint32_t sign : {0u, 0x8000u}) {
    for (uint32_t h = 0; h <= 0x7c00; ++h)
      ASSERT_EQ(to_half(from_half(uint16_t(sign | h))), sign | h) << h;
    for (uint32_t h = 0; h < 0x7c00; ++h) {
      const float below = from_half(uint16_t(h));
      // The number after the largest would be 2^16, were there one.
      const float above = h == 0x7bff ? 0x1p16f : from_half(uint16_t(h + 1));
      const float middle = below + (above - below) / 2, s = sign ? -1.f : 1.f;
      ASSERT_EQ(to_half(s * middle), sign | (h % 2 == 0 ? h : h + 1)) << h;
      ASSERT_EQ(to_half(s * std::nextafter(middle, 0.f)), sign | h) << h;
      ASSERT_EQ(to_half(s * std::nextafter(middle, most)), sign | (h + 1)) << h;
    }
  }
}

}  // namespace rmt::test
