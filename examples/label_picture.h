// Label maps as pictures: each photograph, and beside it the same with a coloured square for each
// cell of its map, a colour for each class that wins a cell.
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "data/images/image_grid.h"
#include "data/images/resize.h"
#include "data/labels/label_map.h"

namespace rmt {

// Colours that are told apart at a glance; the first is that of the map's most frequent class.
inline data::Colour colour_of_rank(size_t rank) {
  static const data::Colour colours[] = {{255, 176, 0},  {60, 150, 255},  {230, 60, 120},
                                         {80, 200, 120}, {160, 100, 250}, {240, 240, 120}};
  return rank < std::size(colours) ? colours[rank] : data::Colour{150, 150, 150};
}

// The classes that win a cell, the most frequent first, of equally frequent ones the lower first.
inline std::vector<std::pair<int32_t, int64_t>> winners(const data::LabelMap& map) {
  std::map<int32_t, int64_t> counts;
  for (size_t cell = 0; cell < map.classes.size(); cell += size_t(map.top))
    ++counts[map.classes[cell]];
  std::vector<std::pair<int32_t, int64_t>> list(counts.begin(), counts.end());
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return list;
}

// Two tiles of S x S pixels: the photograph, with the name of its own class, and the map laid over
// it. A cell's colour covers the more of the photograph the surer the cell is: by the softmax over
// its T logits.
inline void add_label_tiles(std::vector<data::Tile>& tiles, const data::Image& photograph,
                            const data::LabelMap& map, const std::string& own_class,
                            const std::vector<std::string>& classes, int64_t S = 160) {
  data::Image plain = resize(photograph, {0, 0, photograph.width, photograph.height}, S, S);
  data::Image laid = plain;
  const auto list = winners(map);
  for (int64_t y = 0; y < S; ++y)
    for (int64_t x = 0; x < S; ++x) {
      const int64_t row = y * map.height / S, column = x * map.width / S;
      const size_t cell = size_t((row * map.width + column) * map.top);
      double sum = 0;
      for (size_t t = 0; t < size_t(map.top); ++t)
        sum += std::exp(double(map.values[cell + t] - map.values[cell]));
      const bool edge = row != (y + 1) * map.height / S || column != (x + 1) * map.width / S;
      const double share = edge ? 0.85 : 0.15 + 0.5 / sum;
      size_t rank = 0;
      while (list[rank].first != map.classes[cell]) ++rank;
      const data::Colour colour = colour_of_rank(rank);
      uint8_t* pixel = &laid.rgb[size_t(y * S + x) * 3];
      for (size_t c = 0; c < 3; ++c)
        pixel[c] = uint8_t(std::lround(pixel[c] + share * (double(colour[c]) - pixel[c])));
    }
  std::string caption;
  for (size_t rank = 0; rank < std::min<size_t>(list.size(), 3); ++rank)
    caption += str(rank ? ", " : "", classes.at(size_t(list[rank].first)), " ", list[rank].second);
  if (list.size() > 3) caption += str(", ", list.size() - 3, " more");
  tiles.push_back({std::move(plain), own_class, {}});
  tiles.push_back({std::move(laid), caption, colour_of_rank(0)});
}

}  // namespace rmt
