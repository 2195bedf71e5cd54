#include "data/images/erase.h"

#include <algorithm>
#include <cmath>

#include "data/images/transform.h"
#include "tests/data/folder_maker.h"
#include "tests/data/seen.h"

using namespace rmt;
using namespace rmt::data;

namespace {

struct Moments {
  double n = 0, sum = 0, squares = 0;
  void add(double x) { n += 1, sum += x, squares += x * x; }
  double mean() const { return sum / n; }
  double deviation() const { return std::sqrt(squares / n - mean() * mean()); }
};

// A black image of which each number is 0, with a rectangle erased.
std::vector<float> black_but_for(const Erasing& e, int64_t width, int64_t height) {
  return ops::normalize(Tensor::zeros({1, height, width, 3}, DType::u8), {}, {{0, 0, 0}, {1, 1, 1}},
                        DType::f32,
                        Tensor::from<int64_t>(
                            {e.box.x, e.box.y, e.box.width, e.box.height, int64_t(e.key)}, {1, 5}))
      .to_vector<float>();
}

}  // namespace

// Mean and deviation of the rectangles that timm 0.9.10 drew, 100,000 for each size. Ours are
// 40,000: the two means differ by less than five standard errors, 5 sqrt(1/1e5 + 1/4e4) = 0.03
// deviations.
TEST(Erase, DrawsTimmsRectangles) {
  struct Size {
    int64_t height, width;
    double share[2], h[2], w[2], top[2], left[2];
  };
  for (const Size& s : {Size{224,
                             224,
                             {0.17592, 0.09016},
                             {95.81, 43.95},
                             {95.46, 43.82},
                             {63.92, 45.07},
                             {64.19, 45.18}},
                        Size{24,
                             12,
                             {0.16313, 0.08847},
                             {7.497, 3.509},
                             {6.318, 2.419},
                             {8.245, 5.444},
                             {2.837, 2.365}}}) {
    Moments share, h, w, top, left;
    for (uint64_t i = 0; i < 40000; ++i) {
      Random random(1, Purpose::test, 0, i);
      const std::optional<Erasing> erasing =
          draw_erasing({.probability = 1}, s.width, s.height, random);
      ASSERT_TRUE(erasing.has_value());
      const Crop* box = &erasing->box;
      ASSERT_TRUE(box->x >= 0 && box->y >= 0 && box->width < s.width && box->height < s.height);
      ASSERT_TRUE(box->x + box->width <= s.width && box->y + box->height <= s.height);
      share.add(double(box->width * box->height) / double(s.width * s.height));
      h.add(double(box->height)), w.add(double(box->width)), top.add(double(box->y)),
          left.add(double(box->x));
    }
    auto near = [](const Moments& got, const double want[2], const char* what) {
      EXPECT_NEAR(got.mean(), want[0], 0.03 * want[1]) << what;
      EXPECT_NEAR(got.deviation(), want[1], 0.03 * want[1]) << what;
    };
    near(share, s.share, "share"), near(h, s.h, "height"), near(w, s.w, "width"),
        near(top, s.top, "top"), near(left, s.left, "left");
  }
}

TEST(Erase, ItsProbability) {
  int erased = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    Random random(2, Purpose::test, 0, i), other = random;
    erased += draw_erasing({.probability = 0.25}, 32, 32, random).has_value();
    ASSERT_FALSE(draw_erasing({}, 32, 32, other).has_value());
  }
  EXPECT_NEAR(erased, 2500, 220);  // five deviations of 43
}

// Inside the rectangle there is noise, no two numbers alike, outside nothing changes.
TEST(Erase, NoiseInsideAndNothingOutside) {
  const int64_t width = 40, height = 30;
  Moments noise;
  for (uint64_t i = 0; i < 100; ++i) {
    Random random(3, Purpose::test, 0, i);
    const Erasing erasing = draw_erasing({.probability = 1}, width, height, random).value();
    const Crop& box = erasing.box;
    const std::vector<float> image = black_but_for(erasing, width, height);
    std::vector<float> inside;
    for (int64_t k = 0; k < width * height * 3; ++k) {
      const int64_t x = k / 3 % width, y = k / 3 / width;
      if (x < box.x || y < box.y || x >= box.x + box.width || y >= box.y + box.height)
        ASSERT_EQ(image[size_t(k)], 0.f);
      else
        noise.add(double(image[size_t(k)])), inside.push_back(image[size_t(k)]);
    }
    std::sort(inside.begin(), inside.end());
    EXPECT_LE(inside.end() - std::unique(inside.begin(), inside.end()), 2)
        << "each pixel and channel has its own";
  }
  EXPECT_NEAR(noise.mean(), 0, 5 / std::sqrt(noise.n));
  EXPECT_NEAR(noise.deviation(), 1, 5 / std::sqrt(2 * noise.n));
}

TEST(Erase, ImagesTooSmallForARectangleStay) {
  for (auto [width, height] : {std::pair<int64_t, int64_t>{1, 50}, {50, 1}, {1, 1}})
    for (uint64_t i = 0; i < 200; ++i) {
      Random random(4, Purpose::test, 0, i);
      const auto e = draw_erasing({.probability = 1}, width, height, random);
      if (!e) continue;
      ASSERT_EQ(black_but_for(*e, width, height), std::vector<float>(size_t(width * height * 3)));
    }
}

// A key is a picture of noise: unlike any other's, of which the rectangle shows its part.
TEST(Erase, TheNoiseIsAFunctionOfKeyAndPixel) {
  const int64_t width = 20, height = 10;
  auto filled = [&](const Crop& box, uint64_t key) {
    return black_but_for({box, key}, width, height);
  };
  const std::vector<float> all = filled({0, 0, width, height}, 99), part = filled({3, 2, 5, 7}, 99);
  for (size_t k = 0; k < all.size(); ++k) {
    const size_t x = k / 3 % size_t(width), y = k / 3 / size_t(width);
    ASSERT_EQ(part[k], x >= 3 && x < 8 && y >= 2 && y < 9 ? all[k] : 0.f);
  }
  for (uint64_t other : {uint64_t(98), uint64_t(99) | uint64_t(1) << 32}) {
    const std::vector<float> noise = filled({0, 0, width, height}, other);
    size_t same = 0;
    for (size_t k = 0; k < all.size(); ++k) same += noise[k] == all[k];
    EXPECT_LE(same, 1u);
  }
  Random a(3, Purpose::test, 0, 1), b(3, Purpose::test, 0, 2);
  EXPECT_NE(draw_erasing({.probability = 1}, width, height, a)->key,
            draw_erasing({.probability = 1}, width, height, b)->key);
}

// After everything else in the training transform, and out of the same numbers; evaluation knows
// nothing of it.
TEST(Erase, IsTheLastStepOfTraining) {
  TransformOptions o;
  o.image_size = 24;
  const Image image = test_image(40, 30);
  int changed = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const Random random(5, Purpose::augment, 1, i);
    o.erasing.probability = 0;
    const std::vector<float> plain = seen_in_training(image, o, random);
    o.erasing.probability = 0.25;
    const std::vector<float> erased = seen_in_training(image, o, random);
    const std::vector<float> again = seen_in_training(image, o, random);
    ASSERT_EQ(erased, again);
    size_t same = 0;
    for (size_t k = 0; k < plain.size(); ++k) same += plain[k] == erased[k];
    EXPECT_GE(same, plain.size() / 2) << "crop and mirror are those of the same sample without it";
    changed += same < plain.size();
  }
  EXPECT_NEAR(changed, 50, 31);  // five deviations
  const std::vector<float> with = seen_in_evaluation(image, o);
  o.erasing.probability = 0;
  EXPECT_EQ(with, seen_in_evaluation(image, o));
}
