#include "core/files/crc32c.h"

#include <gtest/gtest.h>

#include <string>

using namespace rmt;

// The definition: bit after bit.
static uint32_t slow_crc32c(const std::string& text) {
  uint32_t crc = ~0u;
  for (unsigned char c : text) {
    crc ^= c;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

TEST(Crc32c, KnownValues) {  // the check value of every catalogue, and RFC 3720 B.4
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c(nullptr, 0), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62A8AB43u);
}

TEST(Crc32c, EveryLengthPlaceAndCutEqualsTheDefinition) {
  std::string text;
  for (int i = 0; i < 80; ++i) text += char(i * i * 7 + 3 * i + 1);
  for (size_t begin = 0; begin < 9; ++begin)
    for (size_t n = 0; n <= 70; ++n) {
      std::string part = text.substr(begin, n);
      uint32_t want = slow_crc32c(part);
      ASSERT_EQ(crc32c(text.data() + begin, n), want) << begin << " " << n;
      for (size_t cut : {n / 3, n / 2})
        ASSERT_EQ(crc32c(part.data() + cut, n - cut, crc32c(part.data(), cut)), want)
            << begin << " " << n << " " << cut;
    }
}

TEST(Crc32c, AnyFlippedBitChangesIt) {
  std::string text(200, 'x');
  uint32_t whole = crc32c(text.data(), text.size());
  for (size_t bit = 0; bit < 8 * text.size(); ++bit) {
    text[bit / 8] ^= char(1 << bit % 8);
    ASSERT_NE(crc32c(text.data(), text.size()), whole) << bit;
    text[bit / 8] ^= char(1 << bit % 8);
  }
}
