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

}  // namespace rmt::test
