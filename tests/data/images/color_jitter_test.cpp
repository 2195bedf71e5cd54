#include "data/images/color_jitter.h"

#include <gtest/gtest.h>

#include <map>

#include "data/images/transform.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

// Three different operations in each of 6 orders equally often, factors all over [0.6, 1.4].
TEST(ColorJitter, DrawsOrderAndFactors) {
  std::map<std::vector<AugmentOp>, int> orders;
  std::map<AugmentOp, std::array<int, 4>> quarters;
  for (uint64_t i = 0; i < 6000; ++i) {
    Random random(1, Purpose::test, 0, i);
    std::vector<AugmentOp> order;
    for (const AugmentStep& step : draw_jitter(0.4, random)) {
      ASSERT_TRUE(step.argument >= 0.6 && step.argument < 1.4);
      order.push_back(step.op);
      ++quarters[step.op][size_t((step.argument - 0.6) / 0.2)];
    }
    ++orders[order];
  }
  ASSERT_EQ(orders.size(), 6u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 1000, 135);  // 4.7 deviations
  ASSERT_EQ(quarters.size(), 3u);
  for (AugmentOp op : {AugmentOp::brightness, AugmentOp::contrast, AugmentOp::saturation})
    for (int count : quarters.at(op)) EXPECT_NEAR(count, 1500, 155);  // 4.6 deviations
}

// In the transform: after the mirror, with the draws that follow the crop's and the mirror's.
TEST(ColorJitter, ChangesTheCroppedPicture) {
  TransformOptions o;
  o.image_size = 16, o.scale_min = o.scale_max = o.ratio_min = o.ratio_max = 1, o.flip = 1,
  o.color_jitter = 0.4;
  const Image image = test_image(16, 16);
  for (uint64_t i = 0; i < 20; ++i) {
    Random random(1, Purpose::augment, 0, i);
    std::vector<uint8_t> got(16 * 16 * 3);
    EXPECT_FALSE(train_pixels(image, o, random, got.data())) << "nothing is left to mirror";
    Image want = image;
    const Pixels all{want.rgb.data(), 16, 16};
    random_crop(16, 16, o, random);
    random.uniform();
    mirror(all);
    for (const AugmentStep& step : draw_jitter(0.4, random)) apply_step(step, all, {});
    EXPECT_EQ(got, want.rgb);
  }
}
