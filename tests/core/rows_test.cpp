#include "core/rows.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rmt::test {
namespace {

template <class T>
void columns_are_visited_once_in_order() {
  for (int64_t C : {0, 1, 7, 13, 16, 31, 49, 57, 128}) {
    std::vector<T> x(static_cast<size_t>(C)), y(static_cast<size_t>(C));
    for (int64_t c = 0; c < C; ++c) x[size_t(c)] = T(c + 1);
    int64_t next = 0;
    simd::for_columns<T>(C, [&](int64_t c, auto count) {
      EXPECT_EQ(c, next);
      next = c + count;
      simd::Vec<T> v = simd::load(x.data() + c, count),
                   filled = simd::load(x.data() + c, count, T(-3));
      simd::store<T>(y.data() + c, v, count);
      for (int i = 0; i < simd::lanes<T>; ++i) {
        EXPECT_EQ(v[i], i < count ? T(c + i + 1) : 0) << C << " " << c;
        EXPECT_EQ(filled[i], i < count ? T(c + i + 1) : -3) << C << " " << c;
      }
    });
    EXPECT_EQ(next, C);
    EXPECT_EQ(y, x);
  }
}

}  // namespace

TEST(Rows, ColumnsAreVisitedOnceInOrder) {
  columns_are_visited_once_in_order<float>();
  columns_are_visited_once_in_order<double>();
}

TEST(Rows, SumRowsTakesEachRowOnce) {
  for (int64_t rows : {0, 1, 127, 128, 129, 5000, 100'003}) {
    std::vector<double> sums =
        simd::sum_rows<float>(rows, 40, 2, [&](int64_t begin, int64_t end, float* part) {
          EXPECT_LE(end - begin, 128);
          for (int64_t r = begin; r < end; ++r) part[0] += 1, part[1] += float(r % 7);
        });
    EXPECT_EQ(sums[0], double(rows));  // whole numbers below 2^24 in a part: exact
    double expected = 0;
    for (int64_t r = 0; r < rows; ++r) expected += double(r % 7);
    EXPECT_EQ(sums[1], expected);
  }
}

}  // namespace rmt::test
