#include "train/class_colour.h"

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace rmt::train {

using data::Colour;

namespace {

// How different two colours look, about: the eye sees green best and blue least.
int64_t distance(const Colour& a, const Colour& b) {
  const int64_t weight[3] = {3, 4, 2};
  int64_t sum = 0;
  for (size_t c = 0; c < 3; ++c) sum += weight[c] * (int64_t(a[c]) - b[c]) * (int64_t(a[c]) - b[c]);
  return sum;
}

// Of the 7 x 7 x 7 colours of a grid, always that which is farthest from its nearest among those
// that are taken; black and white are from the beginning.
std::vector<Colour> make_palette() {
  std::vector<Colour> grid;
  for (int r = 0; r < 7; ++r)
    for (int g = 0; g < 7; ++g)
      for (int b = 0; b < 7; ++b)
        grid.push_back({uint8_t(r * 255 / 6), uint8_t(g * 255 / 6), uint8_t(b * 255 / 6)});
  std::vector<int64_t> nearest;  // distance from each of them to those that are taken
  for (const Colour& c : grid)
    nearest.push_back(std::min(distance(c, {0, 0, 0}), distance(c, {255, 255, 255})));
  std::vector<Colour> palette;
  while (palette.size() < 255) {
    const auto at = std::max_element(nearest.begin(), nearest.end()) - nearest.begin();
    palette.push_back(grid[size_t(at)]);
    for (size_t i = 0; i < grid.size(); ++i)
      nearest[i] = std::min(nearest[i], distance(grid[i], palette.back()));
  }
  return palette;
}

}  // namespace

Colour class_colour(int64_t k) {
  static const std::vector<Colour> palette = make_palette();
  CHECK(k >= 0 && k < int64_t(palette.size()), "class_colour: class ", k, " is not in [0, 255)");
  return palette[size_t(k)];
}

}  // namespace rmt::train
