#include <gtest/gtest.h>

#include "ops/resize_bilinear.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// In f64 as the formula stands; s may then be off by a rounding, and y by as much.
Naive naive(int64_t OH, int64_t OW) {
  return [=](Inputs in) {
    const int64_t B = in[0].dim(0), H = in[0].dim(1), W = in[0].dim(2), C = in[0].dim(3);
    std::vector<double> y;
    const auto place = [](int64_t o, int64_t size, int64_t count) {
      return std::max(0., (double(o) + 0.5) * double(size) / double(count) - 0.5);
    };
    for (int64_t b = 0; b < B; ++b)
      for (int64_t oy = 0; oy < OH; ++oy)
        for (int64_t ox = 0; ox < OW; ++ox)
          for (int64_t c = 0; c < C; ++c) {
            const double sy = place(oy, H, OH), sx = place(ox, W, OW);
            const int64_t i = int64_t(sy), j = int64_t(sx);
            const auto at = [&](int64_t row, int64_t column) {
              row = std::min(row, H - 1), column = std::min(column, W - 1);
              return in[0].data<double>()[((b * H + row) * W + column) * C + c];
            };
            const double fy = sy - double(i), fx = sx - double(j);
            y.push_back((1 - fy) * ((1 - fx) * at(i, j) + fx * at(i, j + 1)) +
                        fy * ((1 - fx) * at(i + 1, j) + fx * at(i + 1, j + 1)));
          }
    return y;
  };
}

}  // namespace

// Smaller and larger, by whole numbers and not, one axis at a time; channels in whole vectors and
// not.
TEST(ResizeBilinear, Op) {
  struct Case {
    int64_t B, H, W, C, OH, OW;
  };
  for (Case p : {Case{1, 1, 1, 1, 1, 1}, Case{2, 7, 13, 5, 3, 6}, Case{1, 8, 6, 32, 16, 12},
                 Case{2, 6, 7, 57, 13, 2}, Case{1, 1, 49, 8, 7, 50}, Case{0, 5, 5, 3, 2, 2},
                 Case{1, 12, 8, 16, 4, 4}, Case{2, 5, 5, 13, 1, 1}, Case{1, 2, 3, 4, 9, 9}})
    check_op(str("resize_bilinear to ", p.OH, " x ", p.OW),
             [p](Inputs in) { return ops::resize_bilinear(in[0], p.OH, p.OW); },
             {randn({p.B, p.H, p.W, p.C}, 1)}, {.reference = naive(p.OH, p.OW), .max_probes = 100});
}

// What PyTorch's F.interpolate(x, size, mode='bilinear', align_corners=False) gives.
TEST(ResizeBilinear, AsPyTorch) {
  const Tensor x = Tensor::from<double>({1, 2, 4}, {1, 1, 3, 1});
  const auto row = [&](int64_t OW) { return ops::resize_bilinear(x, 1, OW).to_vector<double>(); };
  EXPECT_EQ(row(2), (std::vector<double>{1.25, 3.5}));
  EXPECT_EQ(row(6), (std::vector<double>{1, 1.25, 1.75, 2.5, 3.5, 4}));
}

// 23170^2 is just below 2^29, where the integers end.
TEST(ResizeBilinear, ToTheSameSizeIsACopy) {
  const auto copy = [](Inputs in) { return in[0].to_vector<double>(); };
  check_op("resize_bilinear to the same size",
           [](Inputs in) { return ops::resize_bilinear(in[0], 2, 23170); },
           {randn({1, 2, 23170, 1}, 1)}, {.reference = copy, .max_probes = 5});
  expect_error(
      [] {
        ops::resize_bilinear(Tensor::zeros({1, 1, 23170, 1}), 1, 23171);
      },
      {"23170", "23171", "2^29"});
}

TEST(ResizeBilinear, Errors) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3});
  expect_error([] { ops::resize_bilinear({}, 2, 2); }, {"resize_bilinear", "undefined"});
  expect_error([] { ops::resize_bilinear(Tensor::zeros({2, 3, 4}), 2, 2); }, {"(2, 3, 4)"});
  expect_error([] { ops::resize_bilinear(Tensor::zeros({2, 0, 4, 3}), 2, 2); }, {"(2, 0, 4, 3)"});
  expect_error([&] { ops::resize_bilinear(x, 0, 2); }, {"(1, 4, 4, 3) to 0 x 2"});
  expect_error([&] { ops::resize_bilinear(x, 2, 1 << 27); }, {"2^29"});
  expect_error(
      [] {
        ops::resize_bilinear(Tensor::zeros({1, 1, 1, 1}, DType::i64), 2, 2);
      },
      {"i64"});
}

}  // namespace rmt::test
