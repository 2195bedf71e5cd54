#include <gtest/gtest.h>

#include "ops/resize_nearest.h"
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
            int64_t i = 0, j = 0;  // the last of which i OH <= oy H
            while ((i + 1) * OH <= oy * H) ++i;
            while ((j + 1) * OW <= ox * W) ++j;
            y.push_back(in[0].data<double>()[((b * H + i) * W + j) * C + c]);
          }
    return y;
  };
}

}  // namespace

// Smaller and larger, by whole numbers and not, one axis at a time; channels in whole vectors and
// not.
TEST(ResizeNearest, Op) {
  struct Case {
    int64_t B, H, W, C, OH, OW;
  };
  for (Case p : {Case{1, 1, 1, 1, 1, 1}, Case{2, 7, 13, 5, 3, 6}, Case{1, 8, 6, 32, 16, 12},
                 Case{2, 6, 7, 57, 13, 2}, Case{1, 1, 49, 8, 7, 50}, Case{0, 5, 5, 3, 2, 2},
                 Case{1, 12, 8, 16, 4, 4}, Case{2, 5, 5, 13, 1, 1}, Case{1, 2, 3, 4, 9, 9}})
    check_op(str("resize_nearest to ", p.OH, " x ", p.OW),
             [p](Inputs in) { return ops::resize_nearest(in[0], p.OH, p.OW); },
             {randn({p.B, p.H, p.W, p.C}, 1)}, {.reference = naive(p.OH, p.OW), .max_probes = 100});
}

TEST(ResizeNearest, Copies) {
  const Tensor x = Tensor::from<float>({1, 2, 3}, {1, 1, 3, 1});
  EXPECT_EQ(ops::resize_nearest(x, 1, 5).to_vector<float>(), (std::vector<float>{1, 1, 2, 2, 3}));
  EXPECT_EQ(ops::resize_nearest(x, 2, 2).to_vector<float>(), (std::vector<float>{1, 2, 1, 2}));
}

// 23170^2 is just below 2^29, where the integers end.
TEST(ResizeNearest, ToTheSameSizeIsACopy) {
  const auto copy = [](Inputs in) { return in[0].to_vector<double>(); };
  check_op("resize_nearest to the same size",
           [](Inputs in) { return ops::resize_nearest(in[0], 2, 23170); },
           {randn({1, 2, 23170, 1}, 1)}, {.reference = copy, .max_probes = 5});
  expect_error(
      [] {
        ops::resize_nearest(Tensor::zeros({1, 1, 23170, 1}), 1, 23171);
      },
      {"23170", "23171", "2^29"});
}

TEST(ResizeNearest, Errors) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3});
  expect_error([] { ops::resize_nearest({}, 2, 2); }, {"resize_nearest", "undefined"});
  expect_error([] { ops::resize_nearest(Tensor::zeros({2, 3, 4}), 2, 2); }, {"(2, 3, 4)"});
  expect_error([] { ops::resize_nearest(Tensor::zeros({2, 0, 4, 3}), 2, 2); }, {"(2, 0, 4, 3)"});
  expect_error([&] { ops::resize_nearest(x, 0, 2); }, {"(1, 4, 4, 3) to 0 x 2"});
  expect_error([&] { ops::resize_nearest(x, 2, 1 << 27); }, {"2^29"});
  expect_error([] { ops::resize_nearest(Tensor::zeros({1, 1, 1, 1}, DType::i64), 2, 2); }, {"i64"});
}

}  // namespace rmt::test
