// The two constants of a stage, against their formulas in double (nn/rmt/README.md, "Decay" and
// "Rotation"). Computed in f32: a few roundings of 6e-8.
#include "nn/rmt/position.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rmt::test {

using nn::Position, nn::StageConfig;

TEST(Position, DecayOfEachHead) {
  for (const char* name : {"rmt_t", "rmt_b", "rmt_l"})
    for (const StageConfig& s : nn::rmt_config(name).stages) {
      const Position position(s);
      ASSERT_EQ(position.decay.shape(), Shape{s.heads});
      const float* decay = position.decay.data<float>();
      EXPECT_NEAR(std::exp(decay[0]), 0.75, 2e-7) << "the first head's gamma in every stage";
      for (int64_t i = 0; i < s.heads; ++i) {
        const double gamma =
            1 - std::exp2(-s.decay_first - s.decay_range * double(i) / double(s.heads));
        EXPECT_NEAR(decay[i], std::log(gamma), 2e-7) << name << ", head " << i;
      }
    }
}

TEST(Position, AnglesGoFromOneToATenThousandth) {
  for (int64_t D : {2, 4, 16, 30, 32}) {
    const Position position({.channels = 3 * D, .heads = 3, .decay_range = 4});
    ASSERT_EQ(position.angle.shape(), Shape{D});
    const float* angle = position.angle.data<float>();
    for (int64_t j = 0; j < D / 2; ++j) {
      const double t = D > 2 ? double(j) / double(D / 2 - 1) : 0;
      EXPECT_EQ(angle[2 * j], angle[2 * j + 1]) << "the two channels of a pair turn together";
      EXPECT_NEAR(angle[2 * j] / std::pow(10000, -t), 1, 1e-6) << "D " << D << ", pair " << j;
    }
    EXPECT_EQ(angle[0], 1);
    if (D == 2) continue;  // one pair alone turns by 1
    EXPECT_EQ(angle[D - 1], 1e-4f) << "both ends are included";
  }
}

}  // namespace rmt::test
