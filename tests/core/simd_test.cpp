#include "core/simd.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace rmt::test {
namespace {

using namespace rmt::simd;

template <class T>
std::vector<T> numbers(Vec<T> v) {
  std::vector<T> out(static_cast<size_t>(lanes<T>));
  store<T>(out.data(), v);
  return out;
}

template <class T>
void check_shuffles() {
  constexpr int n = lanes<T>;
  Vec<T> v, rows[n];
  for (int i = 0; i < n; ++i) v[i] = T(i);
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(numbers<T>(swap_pairs<T>(v))[size_t(i)], T(i ^ 1));
    EXPECT_EQ(numbers<T>(repeat_even<T>(v))[size_t(i)], T(i & ~1));
    EXPECT_EQ(numbers<T>(repeat_odd<T>(v))[size_t(i)], T(i | 1));
    for (int j = 0; j < n; ++j) rows[i][j] = T(i * n + j);
  }
  transpose<T>(rows);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) EXPECT_EQ(rows[i][j], T(j * n + i)) << i << ", " << j;
}

}  // namespace

TEST(Simd, Shuffles) {
  check_shuffles<float>();
  check_shuffles<double>();
}

// The fit's 1e-8 and a rounding or two.
TEST(Simd, Exp2) {
  for (float x = -125; x <= 127; x += 0.0173f)
    EXPECT_NEAR(exp2(broadcast(x))[0] / std::exp2(double(x)), 1, 0x1p-23) << x;
  for (float x : {0.f, 1.f, -3.f, 127.f, -125.f}) EXPECT_EQ(exp2(broadcast(x))[0], std::exp2(x));
  EXPECT_EQ(exp2(broadcast(-1e30f))[0], 0x1p-125f);
  EXPECT_EQ(exp2(broadcast(-std::numeric_limits<float>::infinity()))[0], 0x1p-125f);
  EXPECT_EQ(exp2(broadcast(1e30f))[0], 0x1p127f);
  EXPECT_TRUE(std::isnan(exp2(broadcast(std::numeric_limits<float>::quiet_NaN()))[0]));
  EXPECT_EQ(exp2(broadcast(0.3))[0], std::exp2(0.3));
}

// 2 ulp of 2^-23 at most, from the smallest float to the largest: steps of 1/1000, and close ones
// around 1, where the logarithm is 0.
TEST(Simd, Log) {
  const float infinity = std::numeric_limits<float>::infinity();
  auto check = [](float x) {
    EXPECT_NEAR(log(broadcast(x))[0] / std::log(double(x)), 1, 2 * 0x1p-23) << x;
  };
  for (float x = std::numeric_limits<float>::denorm_min(); x < infinity; x *= 1.501f) check(x);
  for (float x = 1e-3f; x < 1e3f; x *= 1.001f) check(x);
  for (float x = 0.99f; x < 1.01f; x += 3e-7f)
    if (x != 1) check(x);
  for (float x : {0x1p-126f, 0x1.fffffep-127f, std::numeric_limits<float>::max()}) check(x);
  EXPECT_EQ(log(broadcast(1.f))[0], 0);
  EXPECT_EQ(log(broadcast(0.f))[0], -infinity);
  EXPECT_EQ(log(broadcast(-0.f))[0], -infinity);
  EXPECT_EQ(log(broadcast(infinity))[0], infinity);
  for (float x : {-1.f, -1e-40f, -infinity, std::numeric_limits<float>::quiet_NaN()})
    EXPECT_TRUE(std::isnan(log(broadcast(x))[0])) << x;
  EXPECT_EQ(log(broadcast(0.3))[0], std::log(0.3));
}

}  // namespace rmt::test
