#include "train/average.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/train/parameters.h"

namespace rmt::test {
using namespace train;
TEST(WeightAverage, AveragesFollowAndChangePlacesWithTheWeights) {
  for (Device device : devices()) {
    WithStatistics model;
    model.on(device);
    if (device == Device::cuda) model.make_shadows(DType::bf16);
    Optimizer optimizer(model.parameters(), {.average_decay = 0.75}, {}, model.state());
    std::vector<double> average = model.weight.to(DType::f64).to_vector<double>();
    for (uint64_t t = 1; t <= 3; ++t) {
      model.set_gradients(1, t);
      model.mean.fill(double(t));
      optimizer.step(0.1);
      const std::vector<float> now = model.weight.to_vector<float>();
      for (size_t i = 0; i < now.size(); ++i) average[i] += 0.25 * (double(now[i]) - average[i]);
    }
    const std::vector<float> before = model.weight.to_vector<float>();
    optimizer.swap_average();
    const std::vector<float> swapped = model.weight.to_vector<float>();
    for (size_t i = 0; i < swapped.size(); ++i)
      ASSERT_NEAR(swapped[i], average[i], 8 * 4 * 0x1p-24);  // |w| < 8, three roundings and one
    EXPECT_EQ(model.mean.to_vector<float>()[0], 0.75f * (0.75f * 0.25f + 0.5f) + 0.75f)
        << "of 0, 1, 2, 3";
    if (device == Device::cuda) {
      EXPECT_EQ(float(in_dtype(model.weight, DType::bf16).to_vector<bf16>()[9]),
                float(bf16(swapped[9])));
    }
    optimizer.swap_average();
    EXPECT_EQ(model.weight.to_vector<float>(), before);
    EXPECT_EQ(model.mean.to_vector<float>()[0], 3);

    model.weight.fill(4);
    model.mean.fill(5);
    optimizer.begin_again();
    EXPECT_EQ(optimizer.average().entries()[0].average.to_vector<float>()[3], 4);
    model.mean.fill(6);
    optimizer.statistics().take_back();
    EXPECT_EQ(model.mean.to_vector<float>()[3], 5);
  }
}

}  // namespace rmt::test
