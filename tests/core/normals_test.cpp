// normals_of: Box and Muller in f32 with the same bits on every device.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/random.h"

using namespace rmt;

namespace {

std::array<uint32_t, 4> words_of(uint32_t i) {
  return philox({i, 0, 0, uint32_t(Purpose::test) << 8}, {7, 8});
}

}  // namespace

// Against the formula in double. The radius: log u to 6 roundings (1 + m, the quotient, its square,
// the polynomial, two to put it together) and 2^-25 left of the series, halved by the root, which
// rounds once; the angle 2, its polynomial 3 and 2^-24 of the series, the product 1: below 12
// roundings of 2^-24 of the radius. cos and sin are only as exact as that beside 1.
TEST(Normals, AreTheFormulas) {
  double worst = 0;
  auto check = [&](const std::array<uint32_t, 4>& words) {
    const std::array<float, 4> z = normals_of(words);
    for (size_t pair = 0; pair < 2; ++pair) {
      const double u = double(float(words[2 * pair] | 1)) * 0x1p-32,
                   radius = std::sqrt(-2 * std::log(u));
      const uint32_t second = words[2 * pair + 1];
      const double angle =
          (double(int32_t(second << 2)) * 0x1p-32 + double(second >> 30)) * 1.5707963267948966;
      ASSERT_LE(std::fabs(double(z[2 * pair]) - radius * std::cos(angle)), 12 * 0x1p-24 * radius)
          << words[2 * pair] << " " << second;
      ASSERT_LE(std::fabs(double(z[2 * pair + 1]) - radius * std::sin(angle)),
                12 * 0x1p-24 * radius)
          << words[2 * pair] << " " << second;
      if (radius > 0)
        worst = std::max(worst, std::fabs(double(z[2 * pair]) - radius * std::cos(angle)) / radius);
    }
  };
  for (uint32_t i = 0; i < 200000; ++i) check(words_of(i));
  EXPECT_GT(worst, 0x1p-26) << "f32 rounds";
  // The ends of the ranges, and both sides of where the exponent changes.
  for (uint32_t a : {0u, 1u, 2u, 0xb504f333u, 0xb504f2ffu, 0xb504f3ffu, 0x7fffffffu, 0x80000000u,
                     0xffffff00u, 0xffffffffu})
    for (uint32_t b : {0u, 0x1fffffffu, 0x20000000u, 0x3fffffffu, 0x40000000u, 0x60000000u,
                       0xa0000000u, 0xdfffffffu, 0xe0000000u, 0xffffffffu})
      check({a, b, b, a});
}

// Kolmogorov and Smirnov: 400,000 numbers leave the normal distribution function by less than 1.95
// / sqrt n (one sample in a thousand would not).
TEST(Normals, AreNormalAndUnrelated) {
  const uint32_t blocks = 100000;
  std::vector<double> all;
  double products[6] = {}, fourth = 0;
  for (uint32_t i = 0; i < blocks; ++i) {
    const std::array<float, 4> z = normals_of(words_of(i));
    for (size_t a = 0, k = 0; a < 4; ++a) {
      all.push_back(double(z[a])), fourth += std::pow(double(z[a]), 4);
      for (size_t b = a + 1; b < 4; ++b) products[k++] += double(z[a]) * double(z[b]);
    }
  }
  const double n = double(all.size());
  std::sort(all.begin(), all.end());
  double distance = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-all[i] * std::sqrt(0.5));
    distance =
        std::max({distance, std::fabs(cdf - double(i) / n), std::fabs(cdf - double(i + 1) / n)});
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n))
      << "five standard errors: the eighth moment is 105, 105 - 3^2 = 96";
  for (double p : products) EXPECT_NEAR(p / blocks, 0, 5 / std::sqrt(double(blocks)));
}
