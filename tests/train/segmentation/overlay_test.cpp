#include "train/segmentation/overlay.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "data/segmentation/labelled_folder.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
using namespace rmt::train;

namespace {

Colour at(const Image& image, int64_t x, int64_t y) {
  const uint8_t* p = &image.rgb[size_t(y * image.width + x) * 3];
  return {p[0], p[1], p[2]};
}

int64_t pixels_of(const Image& image, const Colour& colour) {
  int64_t n = 0;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) n += at(image, x, y) == colour;
  return n;
}

// Class 1 on the left, 3 on the right, and nothing known in the last column.
LabelImage halves() {
  LabelImage labels{10, 4, {}};
  for (int64_t i = 0; i < 40; ++i)
    labels.labels.push_back(i % 10 < 5 ? 1 : i % 10 < 9 ? 3 : kIgnored);
  return labels;
}

}  // namespace

TEST(Overlay, ColoursOfClassesAreFarApart) {
  std::set<Colour> all;
  for (int64_t k = 0; k < 255; ++k) all.insert(class_colour(k));
  EXPECT_EQ(all.size(), 255u);
  // Of the first twenty any two differ by 60 levels in a channel at least.
  for (int64_t a = 0; a < 20; ++a)
    for (int64_t b = 0; b < a; ++b) {
      int most = 0;
      for (size_t c = 0; c < 3; ++c)
        most = std::max(most, std::abs(int(class_colour(a)[c]) - int(class_colour(b)[c])));
      EXPECT_GE(most, 60) << a << " and " << b;
    }
  EXPECT_THROW(class_colour(255), Error);
  EXPECT_THROW(class_colour(-1), Error);
}

TEST(Overlay, LiesOverThePhotograph) {
  const Image grey{10, 4, std::vector<uint8_t>(120, 100)};
  const Image out = overlay(grey, halves(), 0.5);
  const Colour one = class_colour(1), three = class_colour(3);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(at(out, 0, 0)[c], (100 + one[c] + 1) / 2);
    EXPECT_EQ(at(out, 6, 3)[c], (100 + three[c] + 1) / 2);
  }
  EXPECT_EQ(at(out, 4, 1), one);  // a border
  EXPECT_EQ(at(out, 9, 1), (Colour{100, 100, 100}));
  EXPECT_EQ(at(overlay(grey, halves(), 0), 0, 0), (Colour{100, 100, 100}));
  EXPECT_EQ(at(overlay(grey, halves(), 1), 0, 0), one);
  EXPECT_TRUE(contains(error_of([&] {
                         overlay({4, 10, grey.rgb}, halves());
                       }),
                       "labels of 10 x 4 pixels over a photograph of 4 x 10"));
  EXPECT_THROW(overlay(grey, halves(), 1.5), Error);
}

TEST(Overlay, ALegendHasTheClassesThatOccur) {
  const Image grey{10, 4, std::vector<uint8_t>(120, 100)};
  const Image out = prediction_picture(grey, halves(), {"a", "b", "c"});
  EXPECT_GT(out.width, 10);  // room for the text
  EXPECT_GE(pixels_of(out, class_colour(1)), 120);
  EXPECT_GE(pixels_of(out, class_colour(3)), 120);
  EXPECT_EQ(pixels_of(out, class_colour(0)), 0);
  EXPECT_EQ(pixels_of(out, class_colour(2)), 0);
}
