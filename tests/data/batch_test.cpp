#include "data/batch.h"

#include <cmath>

#include "tests/data/folder_maker.h"
#include "tests/data/seen.h"

namespace rmt::data::test {
namespace {

std::array<uint8_t, 3> pixel(const Image& image, int64_t x, int64_t y) {
  const uint8_t* p = &image.rgb[size_t(y * image.width + x) * 3];
  return {p[0], p[1], p[2]};
}

// Two images of 3 x 2 pixels, the second of them to be mirrored.
Batch two_images() {
  Batch batch{.images = Tensor::empty({2, 2, 3, 3}, DType::u8),
              .mirror = Tensor::zeros({2}, DType::u8)};
  for (int i = 0; i < 36; ++i) batch.images.data<uint8_t>()[i] = uint8_t(i);
  batch.mirror.data<uint8_t>()[1] = 1;
  return batch;
}

}  // namespace

TEST(BatchPictures, AreTheBytesMirroredWhereTheyAreToBe) {
  using Bytes = std::array<uint8_t, 3>;
  const std::vector<Image> pictures = batch_pictures(two_images(), {}, 5);
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pixel(pictures[0], 0, 1), (Bytes{9, 10, 11}));
  EXPECT_EQ(pixel(pictures[1], 0, 0), (Bytes{24, 25, 26}));
  EXPECT_EQ(pixel(pictures[1], 2, 1), (Bytes{27, 28, 29}));
  EXPECT_EQ(batch_pictures(two_images(), {}, 1).size(), 1u);
  EXPECT_TRUE(batch_pictures(two_images(), {}, 0).empty());
  EXPECT_TRUE(contains(error_of([] {
                         batch_pictures({.images = Tensor::zeros({1, 2, 2, 3})}, {}, 1);
                       }),
                       "f32 (1, 2, 2, 3), expected u8"));
}

// A picture shows what ops::normalize makes of the batch, to the half of a byte's step.
TEST(BatchPictures, ShowTheNoiseOfRandomErasing) {
  TransformOptions o;
  o.image_size = 16;
  const std::vector<uint8_t> grey(16 * 16 * 3, 130);
  const Erasing erasing{{3, 2, 9, 7}, 99};
  const Batch batch{.images = Tensor::from<uint8_t>(grey, {1, 16, 16, 3}),
                    .mirror = Tensor::full({1}, 1, DType::u8),
                    .erase = Tensor::from<int64_t>({3, 2, 9, 7, 99}, {1, 5})};
  const Image picture = batch_pictures(batch, o, 1)[0];
  const std::vector<float> seen = normalised(grey, o, true, erasing);
  int64_t noisy = 0;
  for (size_t i = 0; i < seen.size(); ++i) {
    const float byte = 255 * (seen[i] * o.deviation[i % 3] + o.mean[i % 3]);
    ASSERT_NEAR(picture.rgb[i], std::clamp(byte, 0.f, 255.f), 0.501) << i;
    noisy += picture.rgb[i] != 130;
  }
  EXPECT_TRUE(noisy > 150 && noisy <= 9 * 7 * 3) << noisy;
}

}  // namespace rmt::data::test
