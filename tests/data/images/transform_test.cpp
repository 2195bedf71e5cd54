#include "data/images/transform.h"

#include <algorithm>
#include <cmath>

#include "tests/data/folder_maker.h"
#include "tests/data/seen.h"

using namespace rmt;
using namespace rmt::data;

namespace {

TransformOptions plain(int64_t size) {  // out = pixel / 255
  TransformOptions o;
  o.image_size = size;
  o.mean = {0, 0, 0}, o.deviation = {1, 1, 1};
  return o;
}

std::vector<float> floats(const Image& image) {
  std::vector<float> values;
  for (uint8_t v : image.rgb) values.push_back(float(v) / 255.f);
  return values;
}

}  // namespace

TEST(Transform, CropsKeepToTheirBounds) {
  TransformOptions o;
  double least = 1, most = 0;
  for (auto [width, height] :
       {std::pair<int64_t, int64_t>{500, 375}, {375, 500}, {64, 64}, {7, 5}}) {
    double mean_x = 0, mean_y = 0;
    for (uint64_t i = 0; i < 2000; ++i) {
      Random random(3, Purpose::test, i);
      Crop c = random_crop(width, height, o, random);
      ASSERT_TRUE(c.x >= 0 && c.y >= 0 && c.width > 0 && c.height > 0 && c.x + c.width <= width &&
                  c.y + c.height <= height);
      mean_x += (double(c.x) + double(c.width) / 2) / double(width) / 2000,
          mean_y += (double(c.y) + double(c.height) / 2) / double(height) / 2000;
      if (width < 64) continue;  // rounding is too coarse there
      double share = double(c.width * c.height) / double(width * height),
             ratio = double(c.width) / double(c.height);
      ASSERT_TRUE(share > 0.07 && share <= 1 && ratio > 0.72 && ratio < 1.39)
          << share << " " << ratio;
      least = std::min(least, share), most = std::max(most, share);
    }
    EXPECT_NEAR(mean_x, 0.5, 0.02);
    EXPECT_NEAR(mean_y, 0.5, 0.02);
  }
  EXPECT_LT(least, 0.09);
  EXPECT_GT(most, 0.95);
}

TEST(Transform, CropFallsBackToTheCentreOfSlivers) {
  TransformOptions o;
  o.scale_min = 1;
  Random random(0, Purpose::test);
  EXPECT_EQ(random_crop(1000, 30, o, random), (Crop{480, 0, 40, 30}));
  EXPECT_EQ(random_crop(30, 1000, o, random), (Crop{0, 480, 30, 40}));
  EXPECT_EQ(random_crop(1, 1, o, random), (Crop{0, 0, 1, 1}));
}

TEST(Transform, TrainingWithoutChanceIsAResize) {
  TransformOptions o = plain(16);
  o.scale_min = o.scale_max = o.ratio_min = o.ratio_max = 1, o.flip = 0;
  Image image = test_image(33, 33);
  std::vector<float> out(16 * 16 * 3), want = floats(resize(image, {0, 0, 33, 33}, 16, 16));
  out = seen_in_training(image, o, Random(1, Purpose::augment));
  EXPECT_EQ(out, want);
  o.flip = 1;
  out = seen_in_training(image, o, Random(1, Purpose::augment));
  for (int64_t y = 0; y < 16; ++y)
    for (int64_t x = 0; x < 16; ++x)
      for (int64_t c = 0; c < 3; ++c)
        ASSERT_EQ(out[size_t((y * 16 + x) * 3 + c)], want[size_t((y * 16 + 15 - x) * 3 + c)]);
}

// One operation for sure, no crop: what train_pixels leaves is that operation on the picture,
// mirrored first, with the mean around it.
TEST(Transform, AugmentsTheMirroredPicture) {
  TransformOptions o;
  o.image_size = 16, o.scale_min = o.scale_max = o.ratio_min = o.ratio_max = 1;
  Image image = test_image(16, 16), mirrored = image;
  for (int64_t y = 0; y < 16; ++y)
    for (int64_t x = 0; x < 16; ++x)
      for (int64_t c = 0; c < 3; ++c)
        mirrored.rgb[size_t((y * 16 + x) * 3 + c)] = image.rgb[size_t((y * 16 + 15 - x) * 3 + c)];
  int moved = 0;
  for (uint64_t i = 0; i < 60; ++i)
    for (bool flip : {false, true}) {
      o.flip = flip, o.augment = parse_augment("rand-m9-p1-n1-mstd0.5-inc1");
      std::vector<uint8_t> got(16 * 16 * 3), plain(got);
      EXPECT_FALSE(train_pixels(image, o, Random(1, Purpose::augment, 0, i), got.data()))
          << "nothing is left to mirror";
      Random random(1, Purpose::augment, 0, i);
      random_crop(16, 16, o, random);
      random.uniform();
      Image want = flip ? mirrored : image;
      augment(*o.augment, {want.rgb.data(), 16, 16}, {124, 116, 104}, random);
      ASSERT_EQ(got, want.rgb);
      for (size_t k = 0; k < got.size(); k += 3)
        moved += got[k] == 124 && got[k + 1] == 116 && got[k + 2] == 104;
      std::vector<float> out(got.size());
      out = seen_in_training(image, o, Random(1, Purpose::augment, 0, i));
      for (size_t k = 0; k < got.size(); ++k)
        ASSERT_NEAR(out[k],
                    (double(got[k]) / 255 - double(o.mean[k % 3])) / double(o.deviation[k % 3]),
                    1e-5);
      o.augment.reset();
      EXPECT_EQ(train_pixels(image, o, Random(1, Purpose::augment, 0, i), plain.data()), flip)
          << "without it the mirror is left to others";
      EXPECT_EQ(plain, image.rgb);
    }
  EXPECT_GT(moved, 1000);
}

TEST(Transform, HalfOfTheSamplesAreMirrored) {
  TransformOptions o = plain(8);
  o.scale_min = o.scale_max = o.ratio_min = o.ratio_max = 1;
  Image image = test_image(8, 8);
  std::vector<float> straight = floats(image), out(8 * 8 * 3);
  int same = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    out = seen_in_training(image, o, Random(1, Purpose::augment, 0, i));
    same += out == straight;
  }
  EXPECT_NEAR(same, 500, 60);
}

TEST(Transform, NormalisesByMeanAndDeviation) {
  TransformOptions o;
  o.image_size = 4;
  Image image{4, 4, std::vector<uint8_t>(48, 51)};  // 0.2
  std::vector<float> out = seen_in_evaluation(image, o);
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_NEAR(out[i], (0.2 - double(o.mean[i % 3])) / double(o.deviation[i % 3]), 1e-6);
}

// Shorter side to floor(size / crop_pct), the longer one rounded down, then the centre with ties to
// even.
TEST(Transform, EvaluationIsResizeThenCentreCrop) {
  for (auto [width, height, size, pct, w, h, x, y] :
       {std::array<double, 8>{61, 40, 14, 0.875, 24, 16, 5, 1},  // 16 * 61 / 40 = 24.4
        std::array<double, 8>{40, 61, 14, 0.875, 16, 24, 1, 5},  //
        std::array<double, 8>{50, 50, 13, 0.9, 14, 14, 0, 0},    // 14.4; 0.5 -> 0
        std::array<double, 8>{55, 50, 11, 0.8, 14, 13, 2, 1},    // 13.75; 14.3; 1.5 -> 2
        std::array<double, 8>{5, 3, 12, 1, 20, 12, 4, 0}}) {     // upsampling
    Image image = test_image(int64_t(width), int64_t(height));
    TransformOptions o = plain(int64_t(size));
    o.crop_pct = pct;
    Image whole = resize(image, {0, 0, image.width, image.height}, int64_t(w), int64_t(h));
    Image part = resize(whole, {int64_t(x), int64_t(y), o.image_size, o.image_size}, o.image_size,
                        o.image_size);
    EXPECT_EQ(seen_in_evaluation(image, o), floats(part)) << width << " x " << height;
  }
}

// Every place of the crop is as likely as the next, 4 pixels outside included, and what is outside
// is black.
TEST(Transform, PaddedCropsAreEquallyLikely) {
  TransformOptions o;
  o.image_size = 8, o.crop_padding = 2, o.flip = 0;
  const Image image{8, 8, std::vector<uint8_t>(8 * 8 * 3, 200)};
  std::array<int, 5> x{}, y{};
  for (uint64_t i = 0; i < 5000; ++i) {
    Random random(1, Purpose::test, 0, i);
    const TrainDraws draws = draw_train(8, 8, o, random);
    ASSERT_EQ(draws.crop.width, 8);
    ASSERT_EQ(draws.crop.height, 8);
    ++x.at(size_t(draws.crop.x + 2)), ++y.at(size_t(draws.crop.y + 2));
    std::vector<uint8_t> out(8 * 8 * 3, 7);
    EXPECT_FALSE(train_pixels(image, o, draws, out.data()));
    for (int64_t k = 0; k < 64; ++k) {
      const int64_t at_x = k % 8 + draws.crop.x, at_y = k / 8 + draws.crop.y;
      ASSERT_EQ(out[size_t(k * 3 + 1)], at_x >= 0 && at_x < 8 && at_y >= 0 && at_y < 8 ? 200 : 0);
    }
  }
  for (int count : x) EXPECT_NEAR(count, 1000, 130);  // 4.6 deviations
  for (int count : y) EXPECT_NEAR(count, 1000, 130);
}

// Of another size: resized to the shorter side first, and cropped anywhere along the longer one.
TEST(Transform, PaddedCropsOfOtherSizesAreResizedFirst) {
  TransformOptions o;
  o.image_size = 12, o.crop_padding = 0, o.flip = 0;
  const Image image = test_image(61, 24), whole = resize(image, {0, 0, 61, 24}, 30, 12);
  std::array<int, 19> seen{};
  for (uint64_t i = 0; i < 500; ++i) {
    Random random(1, Purpose::test, 0, i);
    const TrainDraws draws = draw_train(61, 24, o, random);
    ASSERT_EQ(draws.crop.y, 0);
    ++seen.at(size_t(draws.crop.x));
    std::vector<uint8_t> out(12 * 12 * 3);
    train_pixels(image, o, draws, out.data());
    ASSERT_EQ(out, resize(whole, draws.crop, 12, 12).rgb);
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n > 0; }));
  Random random(1, Purpose::test);
  EXPECT_TRUE(contains(error_of([&] { padded_crop(11, 12, o, random); }),
                       "no crop of 12 x 12 out of 11 x 12"));
}

// A sliver becomes half a million columns of which 12 are made; padding wider than the picture can
// miss it altogether.
TEST(Transform, PaddedCropsStaySmall) {
  TransformOptions o;
  o.image_size = 32, o.crop_padding = 100;
  std::vector<uint8_t> out(32 * 32 * 3);
  int black = 0;
  for (auto [width, height] : {std::pair<int64_t, int64_t>{16384, 1}, {1, 16384}, {1, 1}, {32, 32}})
    for (uint64_t i = 0; i < 20; ++i) {
      train_pixels(Image{width, height, std::vector<uint8_t>(size_t(width * height * 3), 9)}, o,
                   Random(1, Purpose::test, 0, i), out.data());
      for (uint8_t v : out) ASSERT_TRUE(v == 0 || v == 9);
      black += std::all_of(out.begin(), out.end(), [](uint8_t v) { return v == 0; });
    }
  EXPECT_GT(black, 0);
  EXPECT_LT(black, 80);
}

TEST(Transform, SliversAndDotsDoNotBreakIt) {
  TransformOptions o = plain(32);
  for (auto [width, height] :
       {std::pair<int64_t, int64_t>{16384, 1}, {1, 16384}, {1, 1}, {2, 900}}) {
    Image image = test_image(width, height);
    std::vector<float> out = seen_in_evaluation(image, o);
    EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float v) { return v >= 0 && v <= 1; }))
        << width << " x " << height;
    out = seen_in_training(image, o, Random(1, Purpose::augment));
    EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float v) { return v >= 0 && v <= 1; }))
        << width << " x " << height;
  }
}

TEST(Transform, RefusesOptionsThatMakeNoSense) {
  auto message = [](auto change) {
    TransformOptions o;
    change(o);
    return error_of([&] { check_transform_options(o); });
  };
  EXPECT_TRUE(contains(message([](auto& o) { o.image_size = 0; }), "image size 0"));
  EXPECT_TRUE(contains(message([](auto& o) { o.scale_min = 0; }), "crop scale [0, 1]"));
  EXPECT_TRUE(contains(message([](auto& o) { o.ratio_min = 2; }), "crop ratio"));
  EXPECT_TRUE(contains(message([](auto& o) { o.flip = 1.5; }), "flip probability 1.5"));
  EXPECT_TRUE(
      contains(message([](auto& o) { o.erasing.probability = 2; }), "erasing probability 2"));
  EXPECT_TRUE(contains(message([](auto& o) { o.crop_pct = 1.1; }), "crop_pct 1.1"));
  EXPECT_TRUE(contains(message([](auto& o) { o.crop_padding = -2; }), "crop padding -2"));
  EXPECT_TRUE(contains(message([](auto& o) { o.color_jitter = 1.5; }), "colour jitter 1.5"));
  EXPECT_TRUE(contains(message([](auto& o) { o.deviation[1] = 0; }), "standard deviation 0"));
  check_transform_options({});
}
