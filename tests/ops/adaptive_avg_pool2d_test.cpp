#include <gtest/gtest.h>

#include "ops/adaptive_avg_pool2d.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Naive naive(int64_t OH, int64_t OW) {
  return [=](Inputs in) {
    const int64_t B = in[0].dim(0), H = in[0].dim(1), W = in[0].dim(2), C = in[0].dim(3);
    std::vector<double> y;
    for (int64_t b = 0; b < B; ++b)
      for (int64_t oy = 0; oy < OH; ++oy)
        for (int64_t ox = 0; ox < OW; ++ox)
          for (int64_t c = 0; c < C; ++c) {
            double sum = 0;
            int64_t count = 0;
            // Row i meets window oy where [i, i + 1) and [oy, oy + 1) H / OH overlap.
            for (int64_t i = 0; i < H; ++i)
              for (int64_t j = 0; j < W; ++j) {
                if (i * OH >= (oy + 1) * H || (i + 1) * OH <= oy * H) continue;
                if (j * OW >= (ox + 1) * W || (j + 1) * OW <= ox * W) continue;
                sum += in[0].data<double>()[((b * H + i) * W + j) * C + c];
                ++count;
              }
            y.push_back(sum / double(count));
          }
    return y;
  };
}

}  // namespace

// Smaller and larger, by whole numbers and not, one axis at a time; channels in whole vectors and
// not.
TEST(AdaptiveAvgPool2d, Op) {
  struct Case {
    int64_t B, H, W, C, OH, OW;
  };
  for (Case p : {Case{1, 1, 1, 1, 1, 1}, Case{2, 7, 13, 5, 3, 6}, Case{1, 8, 6, 32, 16, 12},
                 Case{2, 6, 7, 57, 13, 2}, Case{1, 1, 49, 8, 7, 50}, Case{0, 5, 5, 3, 2, 2},
                 Case{1, 12, 8, 16, 4, 4}, Case{2, 5, 5, 13, 1, 1}, Case{1, 2, 3, 4, 9, 9}})
    check_op(str("adaptive_avg_pool2d to ", p.OH, " x ", p.OW),
             [p](Inputs in) { return ops::adaptive_avg_pool2d(in[0], p.OH, p.OW); },
             {randn({p.B, p.H, p.W, p.C}, 1)}, {.reference = naive(p.OH, p.OW), .max_probes = 100});
}

// The four sizes of a pyramid over 7 rows, counted by hand.
TEST(AdaptiveAvgPool2d, Windows) {
  std::vector<double> rows = {1, 10, 100, 1000, 10000, 100000, 1000000};
  const Tensor x = Tensor::from(rows, {1, 7, 1, 1});
  const auto windows = [&](int64_t OH) {
    return ops::adaptive_avg_pool2d(x, OH, 1).to_vector<double>();
  };
  const auto expect = [&](int64_t OH, const std::vector<double>& means) {
    const std::vector<double> y = windows(OH);
    ASSERT_EQ(y.size(), means.size());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], means[i], 1e-15 * 7 * means[i]);
  };
  expect(1, {1111111. / 7});
  expect(2, {1111. / 4, 1111000. / 4});
  expect(3, {111. / 3, 11100. / 3, 1110000. / 3});
  expect(6, {11. / 2, 110. / 2, 1100. / 2, 11000. / 2, 110000. / 2, 1100000. / 2});
}

// 23170^2 is just below 2^29, where the integers end.
TEST(AdaptiveAvgPool2d, ToTheSameSizeIsACopy) {
  const auto copy = [](Inputs in) { return in[0].to_vector<double>(); };
  check_op("adaptive_avg_pool2d to the same size",
           [](Inputs in) { return ops::adaptive_avg_pool2d(in[0], 2, 23170); },
           {randn({1, 2, 23170, 1}, 1)}, {.reference = copy, .max_probes = 5});
  expect_error(
      [] {
        ops::adaptive_avg_pool2d(Tensor::zeros({1, 1, 23170, 1}), 1, 23171);
      },
      {"23170", "23171", "2^29"});
}

TEST(AdaptiveAvgPool2d, Errors) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3});
  expect_error([] { ops::adaptive_avg_pool2d({}, 2, 2); }, {"adaptive_avg_pool2d", "undefined"});
  expect_error([] { ops::adaptive_avg_pool2d(Tensor::zeros({2, 3, 4}), 2, 2); }, {"(2, 3, 4)"});
  expect_error(
      [] {
        ops::adaptive_avg_pool2d(Tensor::zeros({2, 0, 4, 3}), 2, 2);
      },
      {"(2, 0, 4, 3)"});
  expect_error([&] { ops::adaptive_avg_pool2d(x, 0, 2); }, {"(1, 4, 4, 3) to 0 x 2"});
  expect_error([&] { ops::adaptive_avg_pool2d(x, 2, 1 << 27); }, {"2^29"});
  expect_error(
      [] {
        ops::adaptive_avg_pool2d(Tensor::zeros({1, 1, 1, 1}, DType::i64), 2, 2);
      },
      {"i64"});
}

}  // namespace rmt::test
