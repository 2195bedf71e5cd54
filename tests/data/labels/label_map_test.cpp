#include "data/labels/label_map.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "data/labels/label_maps.h"
#include "tests/data/folder_maker.h"

namespace rmt::data::test {
namespace {

// Cell i has the logits i, i + 0.25, ... for the classes 100 + i, 101 + i, ...
LabelMap numbered(int64_t height, int64_t width, int64_t top) {
  LabelMap map{height, width, top, {}, {}};
  for (int64_t i = 0; i < height * width; ++i)
    for (int64_t t = 0; t < top; ++t) {
      map.values.push_back(float(i) + 0.25f * float(t));
      map.classes.push_back(int32_t(100 + i + t));
    }
  return map;
}

// Which cell of numbered() lies at (y, x); -1 when it comes from outside. All T entries agree.
int64_t cell_at(const LabelMap& map, int64_t y, int64_t x) {
  const size_t at = size_t((y * map.width + x) * map.top);
  const bool outside = map.classes[at] == 0;
  for (int64_t t = 0; t < map.top; ++t) {
    const size_t i = at + size_t(t);
    EXPECT_EQ(map.classes[i], outside ? t : map.classes[at] + t);
    EXPECT_EQ(map.values[i], outside ? 0.f : float(map.classes[at] - 100) + 0.25f * float(t));
  }
  return outside ? -1 : map.classes[at] - 100;
}

std::vector<int64_t> cells_of(const LabelMap& map) {
  std::vector<int64_t> cells;
  for (int64_t y = 0; y < map.height; ++y)
    for (int64_t x = 0; x < map.width; ++x) cells.push_back(cell_at(map, y, x));
  return cells;
}

// A picture of the map: cell i as a rectangle of side_x x side_y pixels of the colour (40 + 5 i).
Image picture_of(const LabelMap& map, int64_t side_x, int64_t side_y) {
  Image image{map.width * side_x, map.height * side_y, {}};
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x)
      image.rgb.insert(image.rgb.end(), 3, uint8_t(40 + 5 * cell_at(map, y / side_y, x / side_x)));
  return image;
}

// Is the point, in cells, `margin` or more from the edges of its cell?
bool inside_cell(double p, double margin) {
  return p - std::floor(p) >= margin && std::ceil(p) - p >= margin;
}

struct Counts {
  int64_t compared = 0, outside = 0, changed = 0;
};

// Does the step to a picture of the map and to the map, and compares what lies at the cells'
// centres. The sides are odd, so that a pixel's centre lies there; bilinear interpolation reads a
// pixel on each side, so points closer than that to another cell have mixed colours and are left
// out, with half a pixel to spare.
Counts compare(const AugmentStep& step, int64_t side_x, int64_t side_y) {
  const LabelMap map = numbered(6, 7, 3);
  Image image = picture_of(map, side_x, side_y);
  const int64_t width = image.width, height = image.height;
  const LabelMap out = apply_step(step, map, width, height);
  const Affine m = *movement(step, width, height);
  apply_step(step, Pixels{image.rgb.data(), width, height}, {1, 1, 1});
  Counts n;
  for (int64_t y = 0; y < map.height; ++y)
    for (int64_t x = 0; x < map.width; ++x) {
      const int64_t px = x * side_x + side_x / 2, py = y * side_y + side_y / 2;
      const double cx = double(px) + 0.5, cy = double(py) + 0.5;
      const double sx = (m.a * cx + m.b * cy + m.c) / double(side_x),
                   sy = (m.d * cx + m.e * cy + m.f) / double(side_y);
      if (!inside_cell(sx, 1.5 / double(side_x)) || !inside_cell(sy, 1.5 / double(side_y)))
        continue;
      const int colour = image.rgb[size_t(3 * (py * width + px))];
      const int64_t cell = colour == 1 ? -1 : (colour - 40) / 5;
      EXPECT_EQ(cell_at(out, y, x), cell) << "cell (" << y << ", " << x << ")";
      ++n.compared;
      n.outside += cell == -1;
      n.changed += cell != y * map.width + x;
    }
  return n;
}

}  // namespace

// Five movements, each with small and large arguments of both signs; a wide picture, a high one,
// and one of square cells.
TEST(LabelMap, MovesAsThePictureBelowIt) {
  const std::vector<std::pair<AugmentOp, std::vector<double>>> steps{
      {AugmentOp::rotate, {3, 27, 90, 180}},
      {AugmentOp::shear_x, {0.1, 0.3, 1}},
      {AugmentOp::shear_y, {0.1, 0.3, 1}},
      {AugmentOp::translate_x, {0.1, 0.23, 0.45}},
      {AugmentOp::translate_y, {0.1, 0.23, 0.45}}};
  const std::vector<std::pair<int64_t, int64_t>> sides{{25, 25}, {37, 21}, {21, 37}};
  for (const auto& [op, arguments] : steps) {
    Counts all;
    for (double size : arguments)
      for (double argument : {size, -size})
        for (const auto& [side_x, side_y] : sides)
          for (Resampling how : {Resampling::bilinear, Resampling::bicubic}) {
            SCOPED_TRACE(
                str("op ", int(op), ", argument ", argument, ", cells of ", side_x, " x ", side_y));
            const Counts n = compare({op, argument, how}, side_x, side_y);
            all.compared += n.compared, all.outside += n.outside, all.changed += n.changed;
          }
    const int64_t cells = int64_t(arguments.size()) * 2 * 3 * 2 * 42;
    EXPECT_GT(all.compared, cells / 2) << "most cells are compared";
    EXPECT_GT(all.outside, cells / 50);
    EXPECT_GT(all.changed, all.outside + cells / 50);
  }
}

TEST(LabelMap, IsMirroredAsThePictureIs) {
  const LabelMap map = numbered(2, 3, 2), out = mirrored(map);
  EXPECT_EQ(cells_of(out), (std::vector<int64_t>{2, 1, 0, 5, 4, 3}));
  EXPECT_EQ(cells_of(mirrored(out)), cells_of(map));
}

TEST(LabelMap, TakesTheCellThatHoldsThePoint) {
  const LabelMap map = numbered(2, 3, 2);
  // A point on an edge belongs to the cell behind it; the map's far edge belongs to none.
  EXPECT_EQ(cells_of(moved(map, translation(0.49, 0))), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(cells_of(moved(map, translation(0.5, 0))), (std::vector<int64_t>{1, 2, -1, 4, 5, -1}));
  EXPECT_EQ(cells_of(moved(map, translation(-0.5, 0))), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(cells_of(moved(map, translation(0, -1))), (std::vector<int64_t>{-1, -1, -1, 0, 1, 2}));
  EXPECT_EQ(cells_of(moved(map, {.a = 0, .c = NAN})), std::vector<int64_t>(6, -1));
}

TEST(LabelMap, ColoursLeaveItAsItIs) {
  const LabelMap map = numbered(3, 4, 2);
  int64_t colours = 0;
  for (int64_t op = 0; op < kAugmentOps; ++op) {
    const AugmentStep step{AugmentOp(op), 0.4};
    if (movement(step, 50, 40)) continue;
    ++colours;
    EXPECT_EQ(cells_of(apply_step(step, map, 50, 40)), cells_of(map));
  }
  EXPECT_EQ(colours, kAugmentOps - 5);
}

TEST(LabelMap, IsCheckedCellByCell) {
  LabelMap map = numbered(2, 3, 2);
  check_label_map(map, 107, "x");
  EXPECT_TRUE(contains(error_of([&] { check_label_map(map, 106, "x"); }),
                       "x: cell (1, 2) has class 106 of 106: labels of other classes?"));
  map.values[7] = INFINITY;
  EXPECT_TRUE(contains(error_of([&] { check_label_map(map, 107, "x"); }),
                       "x: cell (1, 0) has the logit inf"));
  map.values[7] = 0, map.classes[0] = -1;
  EXPECT_TRUE(contains(error_of([&] { check_label_map(map, 107, "x"); }), "class -1 of 107"));
}

}  // namespace rmt::data::test
