#include <gtest/gtest.h>

#include "ops/mean_pool.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(MeanPool, Op) {
  auto naive = [](Inputs in) {
    const int64_t B = in[0].dim(0), L = in[0].dim(1) * in[0].dim(2), C = in[0].dim(3);
    std::vector<double> y(size_t(B * C));
    for (int64_t i = 0; i < in[0].numel(); ++i)
      y[size_t(i / (L * C) * C + i % C)] += in[0].data<double>()[i] / double(L);
    return y;
  };
  for (Shape shape :
       {Shape{1, 1, 1, 1}, Shape{2, 7, 7, 13}, Shape{3, 1, 49, 57}, Shape{7, 13, 1, 32},
        Shape{13, 7, 7, 640}, Shape{2, 56, 56, 40}, Shape{0, 7, 7, 5}})
    check_op("mean_pool", [](Inputs in) { return ops::mean_pool(in[0]); }, {randn(shape, 1)},
             {.reference = naive, .max_probes = 40});
}

TEST(MeanPool, Errors) {
  expect_error([] { ops::mean_pool({}); }, {"mean_pool", "undefined"});
  expect_error(
      [] {
        ops::mean_pool(randn({2, 3, 4}));
      },
      {"mean_pool", "(2, 3, 4)", "(B, H, W, C)"});
  expect_error(
      [] {
        ops::mean_pool(randn({2, 0, 4, 5}));
      },
      {"mean_pool", "(2, 0, 4, 5)", "H W > 0"});
}

}  // namespace rmt::test
