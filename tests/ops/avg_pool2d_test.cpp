#include <gtest/gtest.h>

#include "ops/avg_pool2d.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

struct Case {
  int64_t B, H, W, C, k, stride, pad;
  bool count_pad;
};

Naive naive_avg_pool(Case p) {
  return [p](Inputs in) {
    const int64_t OH = (p.H + 2 * p.pad - p.k) / p.stride + 1;
    const int64_t OW = (p.W + 2 * p.pad - p.k) / p.stride + 1;
    std::vector<double> y;
    for (int64_t b = 0; b < p.B; ++b)
      for (int64_t oy = 0; oy < OH; ++oy)
        for (int64_t ox = 0; ox < OW; ++ox)
          for (int64_t c = 0; c < p.C; ++c) {
            double sum = 0;
            int64_t on_map = 0;
            for (int64_t i = 0; i < p.k; ++i)
              for (int64_t j = 0; j < p.k; ++j) {
                const int64_t yy = oy * p.stride + i - p.pad, xx = ox * p.stride + j - p.pad;
                if (yy < 0 || yy >= p.H || xx < 0 || xx >= p.W) continue;
                sum += in[0].data<double>()[((b * p.H + yy) * p.W + xx) * p.C + c];
                ++on_map;
              }
            y.push_back(sum / double(p.count_pad ? p.k * p.k : on_map));
          }
    return y;
  };
}

}  // namespace

// Overlapping windows and gaps between them; every pad up to k / 2; channels in whole vectors and
// not.
TEST(AvgPool2d, Op) {
  for (Case p : {Case{1, 1, 1, 1, 1, 1, 0, true}, Case{2, 7, 13, 5, 3, 2, 1, true},
                 Case{2, 7, 13, 5, 3, 2, 1, false}, Case{1, 8, 6, 32, 2, 2, 0, true},
                 Case{2, 9, 7, 57, 5, 1, 2, false}, Case{1, 7, 7, 8, 2, 3, 1, false},
                 Case{0, 5, 5, 3, 3, 2, 1, true}, Case{1, 3, 49, 13, 3, 3, 0, false},
                 Case{1, 2, 2, 4, 6, 1, 3, true}, Case{2, 10, 10, 16, 1, 2, 0, true}})
    check_op(
        str("avg_pool2d k", p.k, " s", p.stride, " p", p.pad, p.count_pad ? "" : " on the map"),
        [p](Inputs in) { return ops::avg_pool2d(in[0], p.k, p.stride, p.pad, p.count_pad); },
        {randn({p.B, p.H, p.W, p.C}, 1)}, {.reference = naive_avg_pool(p), .max_probes = 100});
}

TEST(AvgPool2d, Errors) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3});
  expect_error([] { ops::avg_pool2d({}, 2, 2, 0); }, {"avg_pool2d", "undefined"});
  expect_error([] { ops::avg_pool2d(Tensor::zeros({2, 3, 4}), 2, 2, 0); }, {"(2, 3, 4)"});
  expect_error([&] { ops::avg_pool2d(x, 5000, 2, 0); }, {"windows of 5000"});
  expect_error([&] { ops::avg_pool2d(x, 3, 2, 2); }, {"pad 2 of windows of 3"});
  expect_error([&] { ops::avg_pool2d(x, 5, 1, 0); },
               {"(1, 4, 4, 3)", "smaller than a window of 5"});
}

}  // namespace rmt::test
