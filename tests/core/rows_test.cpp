#include "core/rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/elementwise.h"

namespace rmt::test {
namespace {

using simd::Vec, simd::View;

template <class T>
std::vector<T> one_two_three(int64_t n) {
  std::vector<T> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = T(i + 1);
  return x;
}

template <class T>
void columns_are_visited_once_in_order() {
  for (int64_t C : {0, 1, 7, 13, 16, 31, 49, 57, 128}) {
    const std::vector<T> x = one_two_three<T>(C);
    std::vector<T> y(C);
    const View<const T> in = x.data();
    const View<T> out = y.data();
    int64_t next = 0;
    simd::for_columns<T>(C, [&](auto c) {
      EXPECT_EQ(c.first, next);
      next = c.first + c.count;
      const Vec<T> v = in[c], filled = in(0, c, T(-3));
      out[c] = v;
      for (int i = 0; i < simd::lanes<T>; ++i) {
        EXPECT_EQ(v[i], i < c.count ? T(c.first + i + 1) : 0) << C << " " << c.first;
        EXPECT_EQ(filled[i], i < c.count ? T(c.first + i + 1) : -3) << C << " " << c.first;
      }
    });
    EXPECT_EQ(next, C);
    EXPECT_EQ(y, x);
  }
}

template <class T>
void sums_and_maxima_ignore_what_is_beyond_the_last_column() {
  for (int64_t C : {1, 7, 13, 16, 31, 49, 57, 128}) {
    const std::vector<T> numbers = one_two_three<T>(C);
    const View<const T> x = numbers.data();
    EXPECT_EQ(simd::sum_columns<T>(C, [&](auto c) { return x[c] + T(1); }), T(C * (C + 3) / 2));
    EXPECT_EQ(simd::max_columns<T>(C, [&](auto c) { return -x[c]; }), T(-1));
  }
}

}  // namespace

TEST(Rows, ColumnsAreVisitedOnceInOrder) {
  columns_are_visited_once_in_order<float>();
  columns_are_visited_once_in_order<double>();
}

TEST(Rows, SumsAndMaximaIgnoreWhatIsBeyondTheLastColumn) {
  sums_and_maxima_ignore_what_is_beyond_the_last_column<float>();
  sums_and_maxima_ignore_what_is_beyond_the_last_column<double>();
}

TEST(Rows, AViewIsIndexedByRowAndColumn) {
  const int64_t rows = 3, C = 21;
  const std::vector<float> numbers = one_two_three<float>(rows * C);
  std::vector<float> result(rows * C + 1, 1);
  const View<const float> x = numbers.data(), none = nullptr;
  const View<float> y = result.data();
  EXPECT_TRUE(x);
  EXPECT_FALSE(none);
  for (int64_t r = 0; r < rows; ++r)
    simd::for_columns<float>(C, [&](auto c) {
      y(r, c) = x(r, c);
      y(r, c) += x[c];
      y(r, c) *= 2.f;
      y(r, c) = y(r, c);
    });
  for (int64_t i = 0; i < rows * C; ++i) EXPECT_EQ(result[i], 2 * float(i + 1 + i % C + 1)) << i;
  EXPECT_EQ(result[rows * C], 1) << "nothing is written behind the last column";
}

TEST(Rows, ForEachTakesEachNumberOnce) {
  for (int64_t n : {0, 1, 7, 16, 57, 16384, 100'003}) {
    const std::vector<double> numbers = one_two_three<double>(n);
    std::vector<double> result(n + 1);
    const View<const double> x = numbers.data();
    const View<double> y = result.data();
    simd::for_each<double>(n, [=](auto i) { y[i] += x[i]; });
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(result[i], numbers[i]) << i << " of " << n;
    EXPECT_EQ(result[n], 0);
  }
}

TEST(Rows, SumRowsTakesEachRowOnce) {
  for (int64_t rows : {0, 1, 127, 128, 129, 5000, 100'003}) {
    const std::vector<double> sums = simd::sum_rows<float>(rows, 40, 2, [](int64_t r, float* part) {
      part[0] += 1;
      part[1] += float(r % 7);
    });
    EXPECT_EQ(sums[0], double(rows));  // whole numbers below 2^24 in a part: exact
    double expected = 0;
    for (int64_t r = 0; r < rows; ++r) expected += double(r % 7);
    EXPECT_EQ(sums[1], expected);
  }
}

}  // namespace rmt::test
