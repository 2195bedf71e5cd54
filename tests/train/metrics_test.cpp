#include "train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/tensor.h"

namespace rmt::test {
using namespace train;

TEST(Metrics, CountsRanksAndMeanLoss) {
  Metrics m;
  // Ranks 0, 1 and 5 of the label; NaN logits are never right.
  float nan = std::nanf("");
  m.add(
      Tensor::from<float>({9, 1, 2, 3, 4, 5, /**/ 9, 8, 0, 0, 0, 0, /**/ 5, 4, 3, 2, 1, 0}, {3, 6}),
      Tensor::from<int64_t>({0, 1, 5}, {3}));
  EXPECT_EQ(m.top1, 1);
  EXPECT_EQ(m.top5, 2);
  EXPECT_DOUBLE_EQ(m.acc1(), 100. / 3);
  m.add(Tensor::from<float>({nan, nan, nan, nan, nan, nan}, {1, 6}),
        Tensor::from<int64_t>({0}, {1}));
  m.add(Tensor::from<float>({nan}, {1, 1}), Tensor::from<int64_t>({0}, {1}));
  EXPECT_EQ(m.top1, 1);
  EXPECT_EQ(m.top5, 2);

  Metrics loss;  // means over samples, not over batches: log 2 twice and log 4 once
  loss.add(Tensor::zeros({2, 2}), Tensor::from<int64_t>({0, 1}, {2}));
  loss.add(Tensor::zeros({1, 4}), Tensor::from<int64_t>({3}, {1}));
  EXPECT_NEAR(loss.loss(), (2 * std::log(2.) + std::log(4.)) / 3, 4 * 0x1p-24);
}

}  // namespace rmt::test
