#include <gtest/gtest.h>

#include "ops/depth_to_space.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

std::vector<double> naive(Inputs in) {
  const int64_t B = in[0].dim(0), H = in[0].dim(1), W = in[0].dim(2), C = in[0].dim(3) / 4;
  std::vector<double> y(size_t(in[0].numel()));
  const double* x = in[0].data<double>();
  for (int64_t b = 0; b < B; ++b)
    for (int64_t r = 0; r < H; ++r)
      for (int64_t s = 0; s < W; ++s)
        for (int64_t i = 0; i < 2; ++i)
          for (int64_t j = 0; j < 2; ++j)
            for (int64_t c = 0; c < C; ++c)
              y[size_t((((b * 2 * H) + 2 * r + i) * 2 * W + 2 * s + j) * C + c)] =
                  *x++;  // in the order (b, r, s, i, j, c)
  return y;
}

}  // namespace

TEST(DepthToSpace, Op) {
  for (Shape shape : {Shape{1, 1, 1, 4}, Shape{2, 7, 13, 20}, Shape{3, 14, 14, 64},
                      Shape{1, 5, 3, 4}, Shape{0, 7, 7, 8}})
    check_op("depth_to_space", [](Inputs in) { return ops::depth_to_space(in[0]); }, {randn(shape)},
             {.reference = naive, .max_probes = 50});
}

TEST(DepthToSpace, Errors) {
  expect_error([] { ops::depth_to_space({}); }, {"depth_to_space", "undefined"});
  expect_error([] { ops::depth_to_space(randn({2, 3, 4})); }, {"depth_to_space", "(2, 3, 4)"});
  expect_error([] { ops::depth_to_space(randn({2, 3, 4, 6})); }, {"(2, 3, 4, 6)", "4 C"});
}

}  // namespace rmt::test
