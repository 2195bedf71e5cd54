// RMT's attention on the skeletons of DeiT and Swin.
#include "nn/models/rmt_skeletons.h"

#include "tests/nn/gradient_along.h"

namespace rmt::test {
namespace {

using nn::RmtConfig;

RmtConfig small(RmtConfig c, const std::array<int64_t, 4>& channels,
                const std::array<int64_t, 4>& blocks, const std::array<int64_t, 4>& heads) {
  for (size_t i = 0; i < 4; ++i) {
    c.stages[i].channels = channels[i];
    c.stages[i].blocks = blocks[i];
    c.stages[i].heads = heads[i];
  }
  return c;
}

}  // namespace

// 44 x 64 pixels: maps of 11 x 16, 6 x 8, 3 x 4 and 2 x 2, so that merging fills up odd sizes.
TEST(RmtSkeletons, GradientAlongARandomDirection) {
  const Tensor u = randn({2, 7}, 6);
  nn::RmtSwin swin(small(nn::rmt_swin_t(), {8, 16, 32, 64}, {1, 1, 2, 1}, {1, 2, 2, 4}),
                   {.num_classes = 7, .drop_path = 0.4});
  prepare(swin);
  expect_gradient_along_a_direction(swin, randn({2, 44, 64, 3}, 5), u);
  nn::RmtVit vit(small(nn::rmt_deit_s(), {16, 0, 0, 0}, {3, 0, 0, 0}, {2, 0, 0, 0}),
                 {.num_classes = 7, .drop_path = 0.4});
  prepare(vit);
  expect_gradient_along_a_direction(vit, randn({2, 48, 80, 3}, 5), u);
}

// Four tokens of a map in the order that Swin's weights expect.
TEST(RmtSkeletons, PatchMergingGathersColumnByColumn) {
  nn::PatchMerging merging(1, 0);
  merging.norm.weight.fill(1);
  for (int64_t o = 0; o < 2; ++o)  // picks channels 1 and 2 of the four
    merging.reduction.weight.data<float>()[4 * o + 1 + o] = 1;
  // (row, column): 1 2 over 3 4. In the order 1 3 2 4, channel 1 is 3 and channel 2 is 2; of mean
  // 2.5 and variance 1.25.
  const Tensor y = merging.forward(Tensor::from<float>({1, 2, 3, 4}, {1, 2, 2, 1}));
  EXPECT_EQ(y.shape(), (Shape{1, 1, 1, 2}));
  EXPECT_NEAR(y.data<float>()[0], 0.5 / std::sqrt(1.25), 1e-6);
  EXPECT_NEAR(y.data<float>()[1], -0.5 / std::sqrt(1.25), 1e-6);
}

static const nn::ManhattanAttention& attention_of(const nn::Block& block) {
  return dynamic_cast<const nn::ManhattanAttention&>(block.retention);
}

// gamma from 1 - 2^-2 for the first head up to 1 - 2^-8, which a head beyond the last would have;
// attention over the whole map in the last stage alone; drop path as in the skeletons' own recipes.
TEST(RmtSkeletons, DecayAndDecompositionAreThePapers) {
  nn::RmtSwin swin(nn::rmt_swin_t(), {});
  for (size_t i = 0; i < 4; ++i) {
    const Tensor decay = swin.stages[i]->position.decay;
    const int64_t N = decay.numel();
    EXPECT_EQ(N, 3 << i);
    for (int64_t head = 0; head < N; ++head)
      EXPECT_NEAR(decay.data<float>()[head],
                  std::log(1 - std::exp2(-2 - 6 * double(head) / double(N))), 2e-7);
    EXPECT_EQ(attention_of(*swin.stages[i]->blocks[0]).decomposed, i < 3);
  }
  EXPECT_EQ(swin.stages[0]->blocks[0]->drop.rate, 0);
  EXPECT_DOUBLE_EQ(swin.stages[2]->blocks[0]->drop.rate, 0.2 * 4 / 11);
  EXPECT_EQ(swin.stages[3]->blocks[1]->drop.rate, 0.2);
  nn::RmtVit vit(nn::rmt_deit_s(), {});
  EXPECT_EQ(vit.blocks.size(), 12u);
  EXPECT_FALSE(attention_of(*vit.blocks[0]).decomposed);
  EXPECT_EQ(vit.position.decay.numel(), 6);
  EXPECT_EQ(vit.blocks[11]->drop.rate, 0.1);
}

TEST(RmtSkeletons, NamesAreThoseOfTheSkeletons) {
  nn::RmtSwin swin(small(nn::rmt_swin_t(), {8, 16, 32, 64}, {1, 1, 1, 1}, {1, 2, 2, 4}), {});
  std::string names;
  for (const nn::Entry& e : swin.state())
    if (e.name.find(".blocks.") == std::string::npos) names += e.name + " ";
  EXPECT_EQ(names,
            "patch_embed.proj.weight patch_embed.proj.bias patch_embed.norm.weight "
            "patch_embed.norm.bias layers.0.Relpos.angle layers.0.Relpos.decay "
            "layers.1.downsample.norm.weight layers.1.downsample.norm.bias "
            "layers.1.downsample.reduction.weight layers.1.Relpos.angle layers.1.Relpos.decay "
            "layers.2.downsample.norm.weight layers.2.downsample.norm.bias "
            "layers.2.downsample.reduction.weight layers.2.Relpos.angle layers.2.Relpos.decay "
            "layers.3.downsample.norm.weight layers.3.downsample.norm.bias "
            "layers.3.downsample.reduction.weight layers.3.Relpos.angle layers.3.Relpos.decay "
            "norm.weight norm.bias head.weight head.bias ");
}

}  // namespace rmt::test
