#include "train/detection/picture.h"

#include <gtest/gtest.h>

#include "train/class_colour.h"

#include <cmath>
#include <set>

#include "core/error.h"
#include "data/images/font.h"

using namespace rmt;
using namespace rmt::train;
using data::Colour;
using data::Image;

namespace {

const std::vector<std::string> kNames = {"cat", "dog"};

Image grey(int64_t width, int64_t height) {
  return {width, height, std::vector<uint8_t>(size_t(width * height * 3), 100)};
}

Colour pixel(const Image& image, int64_t x, int64_t y) {
  Colour c;
  std::copy_n(&image.rgb[size_t(y * image.width + x) * 3], 3, c.begin());
  return c;
}

Colour tinted(int64_t label) {
  Colour c = class_colour(label);
  for (uint8_t& x : c) x = uint8_t(std::lround(100 + .45 * (x - 100.)));
  return c;
}

data::RunLengths square(int64_t from, int64_t to, int64_t side) {
  data::Bitmap map{side, side, std::vector<uint8_t>(size_t(side * side))};
  for (int64_t y = from; y < to; ++y)
    for (int64_t x = from; x < to; ++x) map.on[size_t(y * side + x)] = 1;
  return data::runs_of(map);
}

}  // namespace

TEST(DetectionPicture, TheBetterMaskIsOnTop) {
  const DrawnObject cat{{100, 100, 300, 300}, 0, .9, square(100, 400, 500)},
      dog{{300, 300, 190, 190}, 1, .8, square(300, 490, 500)};
  const Image picture = draw_detections(grey(500, 500), {dog, cat}, kNames);
  ASSERT_EQ(picture.width, 500);
  EXPECT_EQ(pixel(picture, 50, 50), (Colour{100, 100, 100}));
  EXPECT_EQ(pixel(picture, 200, 250), tinted(0));
  EXPECT_EQ(pixel(picture, 350, 350), tinted(0));  // both
  EXPECT_EQ(pixel(picture, 450, 450), tinted(1));
  EXPECT_EQ(pixel(picture, 100, 250), class_colour(0));  // the box
  EXPECT_EQ(pixel(picture, 450, 489), class_colour(1));
}

TEST(DetectionPicture, AnOutlineWithoutABox) {
  DrawnObject cat{{10, 10, 5, 5}, 0, .9, square(100, 400, 500)};
  const Image picture = draw_detections(grey(500, 500), {cat}, kNames);
  EXPECT_EQ(pixel(picture, 100, 250), class_colour(0));
  EXPECT_EQ(pixel(picture, 101, 250), tinted(0));
  EXPECT_EQ(pixel(picture, 399, 250), class_colour(0));
  EXPECT_EQ(pixel(picture, 400, 250), (Colour{100, 100, 100}));
}

// A hundred objects at one place: the labels that are drawn keep clear of each other, so that each
// row of dots belongs to one of them.
TEST(DetectionPicture, LabelsDoNotCoverEachOther) {
  std::vector<DrawnObject> many;
  for (int i = 0; i < 100; ++i) many.push_back({{200, 200, 200, 150}, i % 2, 1 - i * .01, {}});
  const Image picture = draw_detections(grey(600, 500), many, kNames);
  // The best label stands above the box, as if it were alone.
  const Image alone = draw_detections(grey(600, 500), {many[0]}, kNames);
  for (int64_t y = 188; y < 200; ++y)
    for (int64_t x = 200; x < 257; ++x) ASSERT_EQ(pixel(picture, x, y), pixel(alone, x, y));
  EXPECT_EQ(pixel(alone, 201, 189), class_colour(0));
  // And the picture says the second, too: to the right of the first.
  EXPECT_EQ(pixel(picture, 398, 189), class_colour(1));
}

TEST(DetectionPicture, SmallPhotographsAreEnlarged) {
  DrawnObject cat{{10, 10, 20, 20}, 0, -1, square(10, 30, 100)};
  const Image picture = draw_detections(grey(100, 100), {cat}, kNames);
  EXPECT_EQ(picture.width, 500);
  EXPECT_EQ(pixel(picture, 100, 100), tinted(0));
  EXPECT_EQ(pixel(picture, 149, 100), class_colour(0));
  EXPECT_EQ(pixel(picture, 150, 100), (Colour{100, 100, 100}));
}

TEST(DetectionPicture, WhatLiesOutsideIsLeftOut) {
  std::vector<DrawnObject> objects;
  for (const CocoBox& box :
       {CocoBox{-50, -50, 1000, 1000}, CocoBox{-1e300, 5, 1e300, 5}, CocoBox{700, 700, 10, 10},
        CocoBox{100, 100, 0, 0}, CocoBox{100, 100, -50, -50}, CocoBox{499, 499, 1, 1}})
    objects.push_back({box, 1, .5, {}});
  EXPECT_EQ(draw_detections(grey(500, 500), objects, kNames).rgb.size(), 750'000u);
  EXPECT_EQ(draw_detections(grey(1, 1), objects, kNames).width, 480);
  EXPECT_EQ(draw_detections(grey(500, 500), {}, {}).rgb, grey(500, 500).rgb);
}

TEST(DetectionPicture, WhatCannotBeDrawnIsAnError) {
  const auto draw = [](const DrawnObject& o) { draw_detections(grey(50, 50), {o}, kNames); };
  EXPECT_NO_THROW(draw({{1, 2, 3, 4}, 1, .5, {}}));
  EXPECT_THROW(draw({{1, 2, 3, 4}, 2, .5, {}}), Error);
  EXPECT_THROW(draw({{1, 2, 3, 4}, -1, .5, {}}), Error);
  EXPECT_THROW(draw({{1, NAN, 3, 4}, 1, .5, {}}), Error);
  EXPECT_THROW(draw({{1, 2, 3, 4}, 1, .5, square(1, 2, 49)}), Error);
  EXPECT_THROW(draw_detections({}, {}, kNames), Error);
}

TEST(DetectionPicture, ColoursOfManyClassesDiffer) {
  std::set<Colour> colours;
  for (int64_t label = 0; label < 80; ++label) colours.insert(class_colour(label));
  EXPECT_EQ(colours.size(), 80u);
}
