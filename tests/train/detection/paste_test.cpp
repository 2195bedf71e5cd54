// Masks over boxes against torch's grid_sample (tests/golden/paste_masks.py).
#include "train/detection/paste.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "core/error.h"

using namespace rmt;
using namespace rmt::train;

namespace {

std::vector<float> cells(int64_t side, int64_t seed) {
  std::vector<float> out;
  for (int64_t row = 0; row < side; ++row)
    for (int64_t column = 0; column < side; ++column)
      out.push_back(
          float(double((row / 3 * 7919 + column / 3 * 104729 + seed * 1299709) % 251 % 9) / 8.7));
  return out;
}

}  // namespace

TEST(PasteMask, PixelsAreThoseOfTorch) {
  std::ifstream in("tests/golden/paste_masks.txt");
  int lines = 0;
  int64_t pixels = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    SCOPED_TRACE(line);
    std::istringstream words(line);
    int64_t side, seed, width, height;
    CocoBox box;
    std::string text;
    words >> side >> seed;
    for (double& x : box) words >> x;
    words >> width >> height >> text;
    ASSERT_TRUE(words);
    const data::RunLengths mask = paste_mask(cells(side, seed), box, width, height);
    EXPECT_EQ(data::to_text(mask), text);
    pixels += data::area(mask);
  }
  EXPECT_EQ(lines, 40);
  EXPECT_GT(pixels, 10'000);
}

TEST(PasteMask, AFullMaskFillsItsBox) {
  const std::vector<float> full(28 * 28, 1.f), empty(28 * 28, .49f);
  EXPECT_EQ(data::box_of(paste_mask(full, {3, 4, 10, 20}, 50, 40)),
            (std::array<int64_t, 4>{3, 4, 10, 20}));
  EXPECT_EQ(data::area(paste_mask(full, {3, 4, 10, 20}, 50, 40)), 200);
  EXPECT_EQ(data::area(paste_mask(full, {-10, -10, 100, 100}, 50, 40)), 50 * 40);
  EXPECT_EQ(data::area(paste_mask(full, {1000, 1000, 100, 100}, 50, 40)), 0);
  EXPECT_EQ(data::area(paste_mask(empty, {3, 4, 10, 20}, 50, 40)), 0);
}

TEST(PasteMask, WhatHasNoAreaHasNoPixels) {
  const std::vector<float> full(4, 1.f);
  for (const CocoBox& box : {CocoBox{3, 4, 0, 5}, CocoBox{3, 4, 5, -1}, CocoBox{NAN, 0, 5, 5},
                             CocoBox{0, 0, INFINITY, 5}, CocoBox{-1e300, 0, 1e300, 5}})
    EXPECT_EQ(data::area(paste_mask(full, box, 20, 10)), 0);
  EXPECT_EQ(data::area(paste_mask(full, {-1e9, -1e9, 2e9, 2e9}, 20, 10)), 200);
  EXPECT_THROW(paste_mask({}, {0, 0, 1, 1}, 20, 10), Error);
  EXPECT_THROW(paste_mask({1, 1, 1}, {0, 0, 1, 1}, 20, 10), Error);
  EXPECT_THROW(paste_mask(full, {0, 0, 1, 1}, 0, 10), Error);
}
