// Masks in COCO's form against pycocotools (tests/golden/coco_masks.py), and against pixels.
#include "data/masks/run_lengths.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/random.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// The message of the Error that f throws.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

Bitmap random_bitmap(int64_t width, int64_t height, uint64_t seed) {
  Random random(seed, Purpose::test);
  Bitmap out{width, height, {}};
  const double share = random.uniform();
  for (int64_t i = 0; i < width * height; ++i) out.on.push_back(random.uniform() < share);
  return out;
}

}  // namespace

TEST(RunLengths, PolygonsStringsAndOverlapsAreThoseOfCoco) {
  std::ifstream in("tests/golden/coco_masks.txt");
  ASSERT_TRUE(in);
  std::vector<RunLengths> masks;
  int pairs = 0;
  for (std::string line; std::getline(in, line);) {
    SCOPED_TRACE(line.substr(0, 120));
    std::istringstream words(line);
    std::string kind, bar, text;
    words >> kind;
    if (kind == "mask") {
      int64_t width, height, parts, pixels;
      std::array<int64_t, 4> box;
      words >> width >> height >> parts;
      std::vector<std::vector<double>> polygons(static_cast<size_t>(parts));
      for (std::vector<double>& polygon : polygons) {
        size_t points;
        words >> points;
        polygon.resize(2 * points);
        for (double& x : polygon) words >> x;
      }
      words >> bar >> text >> pixels;
      for (int64_t& x : box) words >> x;
      ASSERT_TRUE(words && bar == "|");
      const RunLengths mask = from_polygons(polygons, width, height);
      EXPECT_EQ(to_text(mask), text);
      EXPECT_EQ(from_text(text, width, height), mask);
      EXPECT_EQ(area(mask), pixels);
      EXPECT_EQ(box_of(mask), box);
      EXPECT_EQ(runs_of(to_bitmap(mask)), mask);
      masks.push_back(mask);
    } else {
      size_t a, b;
      double plain, crowd;
      std::string either, both;
      words >> a >> b >> bar >> plain >> crowd >> either >> both;
      ASSERT_TRUE(words && kind == "pair" && bar == "|");
      EXPECT_EQ(iou(masks[a], masks[b]), plain);
      EXPECT_EQ(iou(masks[a], masks[b], true), crowd);
      EXPECT_EQ(to_text(merge({masks[a], masks[b]})), either);
      EXPECT_EQ(to_text(merge({masks[a], masks[b]}, Merge::kIntersection)), both);
      masks.emplace_back();  // lines are numbered, whatever they are
      ++pairs;
    }
  }
  EXPECT_GT(pairs, 50);
  EXPECT_GT(masks.size(), 200u);
}

TEST(RunLengths, ThreePixels) {
  const RunLengths mask = runs_of({3,
                                   2,
                                   {0, 1, 0,  //
                                    1, 1, 0}});
  EXPECT_EQ(mask.counts, (std::vector<uint32_t>{1, 3, 2}));
  EXPECT_EQ(area(mask), 3);
  EXPECT_EQ(box_of(mask), (std::array<int64_t, 4>{0, 0, 2, 2}));
  EXPECT_EQ(to_text(mask), "132");
  EXPECT_EQ(runs_of({2, 1, {1, 0}}).counts, (std::vector<uint32_t>{0, 1, 1}));
  EXPECT_EQ(from_counts({0, 0, 1, 2, 0, 3}, 3, 2).counts, (std::vector<uint32_t>{1, 5}));
}

// What masks are asked for, by their runs and pixel by pixel.
TEST(RunLengths, RunsAndPixelsAgree) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed, Purpose::test, 1);
    const int64_t w = 1 + int64_t(random.uniform() * 20), h = 1 + int64_t(random.uniform() * 20);
    const Bitmap a = random_bitmap(w, h, 2 * seed), b = random_bitmap(w, h, 2 * seed + 1);
    const RunLengths runs_a = runs_of(a), runs_b = runs_of(b);
    EXPECT_EQ(to_bitmap(runs_a).on, a.on);
    EXPECT_EQ(from_text(to_text(runs_a), w, h), runs_a);
    Bitmap either = a, both = a;
    int64_t n_a = 0, n_either = 0, n_both = 0, x1 = w, y1 = h, x2 = 0, y2 = 0;
    for (size_t i = 0; i < a.on.size(); ++i) {
      n_a += a.on[i];
      n_either += either.on[i] = a.on[i] | b.on[i];
      n_both += both.on[i] = a.on[i] & b.on[i];
      if (!a.on[i]) continue;
      const int64_t x = int64_t(i) % w, y = int64_t(i) / w;
      x1 = std::min(x1, x), x2 = std::max(x2, x + 1);
      y1 = std::min(y1, y), y2 = std::max(y2, y + 1);
    }
    EXPECT_EQ(area(runs_a), n_a);
    using Box = std::array<int64_t, 4>;
    EXPECT_EQ(box_of(runs_a), (n_a ? Box{x1, y1, x2 - x1, y2 - y1} : Box{}));
    EXPECT_EQ(merge({runs_a, runs_b, runs_a}), runs_of(either));
    EXPECT_EQ(merge({runs_a, runs_b}, Merge::kIntersection), runs_of(both));
    EXPECT_EQ(iou(runs_a, runs_b), n_both ? double(n_both) / double(n_either) : 0);
    EXPECT_EQ(iou(runs_a, runs_b, true), n_both ? double(n_both) / double(n_a) : 0);
  }
}

TEST(RunLengths, WhatIsNoMaskIsAnError) {
  const auto text = [](const std::string& s, int64_t w = 4, int64_t h = 3) {
    return error_of([&] { from_text(s, w, h); });
  };
  EXPECT_EQ(text("<"), "no error");
  EXPECT_EQ(text(""), "a mask's runs have 0 pixels in all; 4 x 3 are 12");
  EXPECT_EQ(text("56"), "a mask's runs have 11 pixels in all; 4 x 3 are 12");
  EXPECT_EQ(text("O"), "run 0 of a mask's string has -1 pixels; 4 x 3 are 12");
  EXPECT_EQ(text("5 7"),
            "a mask's string has the byte 32 at place 1; its characters are '0' to 'o'");
  EXPECT_EQ(text("5p"),
            "a mask's string has the byte 112 at place 1; its characters are '0' to 'o'");
  EXPECT_EQ(text("5\xff"),
            "a mask's string has the byte 255 at place 1; its characters are '0' to 'o'");
  EXPECT_EQ(text("5P"), "a mask's string ends in the middle of a number");
  EXPECT_EQ(text("5PPPPPPP1"), "a mask's string has a number of more than 7 characters at place 8");
  EXPECT_EQ(text("<", 0, 3),
            "a mask of 0 x 3 pixels; a side has 1 to 16384, and all of it 100 million at most");
  EXPECT_NE(text("<", 16384, 16384), "no error");
  EXPECT_NE(text("<", INT64_MAX, 2), "no error");

  const auto counts = [](const std::vector<int64_t>& c) {
    return error_of([&] { from_counts(c, 4, 3); });
  };
  EXPECT_EQ(counts({5, 7}), "no error");
  EXPECT_EQ(counts({5, 6}), "a mask's runs have 11 pixels in all; 4 x 3 are 12");
  EXPECT_EQ(counts({13, -1}), "run 0 of a mask has 13 pixels; 4 x 3 are 12");
  EXPECT_EQ(counts({12, -1, 1}), "run 1 of a mask has -1 pixels; 4 x 3 are 12");

  const auto polygon = [](const std::vector<double>& p) {
    return error_of([&] { from_polygons({p}, 4, 3); });
  };
  EXPECT_EQ(polygon({0, 0, 1, 1, 2, 0}), "no error");
  EXPECT_EQ(polygon({0, 0, 1, 1}), "a polygon of 2 points; the smallest is a triangle");
  EXPECT_EQ(polygon({0, 0, 1, 1, 2, 0, 3}),
            "a polygon of 7 coordinates; each point has two, x and y");
  EXPECT_EQ(polygon({0, 0, 1, 1, 2e8, 0}),
            "a polygon with the coordinate 2e+08; those of an image are finite, and at most 1e8 "
            "here");
  EXPECT_NE(polygon({0, 0, 1, 1, NAN, 0}), "no error");
  EXPECT_EQ(error_of([] { from_polygons({}, 4, 3); }), "a mask of no polygons");
  EXPECT_NE(error_of([] { from_polygons({{0, 0, 1, 1, 2, 0}}, INT64_MAX, 3); }), "no error");

  const RunLengths a = runs_of({1, 2, {0, 1}}), b = runs_of({2, 1, {0, 1}});
  EXPECT_EQ(error_of([&] { iou(a, b); }),
            "a mask of 1 x 2 pixels and one of 2 x 1; both must be of one image's size");
  EXPECT_NE(error_of([&] { merge({a, b}); }), "no error");
  EXPECT_NE(error_of([&] { merge({}); }), "no error");
  EXPECT_NE(error_of([&] { runs_of({2, 2, {0, 1}}); }), "no error");
}

// Corners far outside cost no more than others.
TEST(RunLengths, AHugePolygonCoversTheImage) {
  const RunLengths all = from_polygons({{-1e8, -1e8, 1e8, -1e8, 1e8, 1e8, -1e8, 1e8}}, 640, 480);
  EXPECT_EQ(area(all), 640 * 480);
  const RunLengths half = from_polygons({{-1e8, -1e8, 1e8, 1e8, -1e8, 1e8}}, 100, 100);
  EXPECT_NEAR(double(area(half)), 5000, 100);
}
