// Compiled without fused multiply-adds (Makefile), as the movements of pictures are: a point at the
// edge of a cell falls on the same side on every machine.
#include "data/labels/label_map.h"

#include <algorithm>
#include <numeric>

namespace rmt::data {
namespace {

LabelMap empty_like(const LabelMap& map) {
  return {map.height, map.width, map.top, std::vector<float>(map.values.size()),
          std::vector<int32_t>(map.classes.size())};
}

void copy_cell(const LabelMap& from, int64_t source, LabelMap& to, int64_t target) {
  const int64_t t = from.top;
  std::copy_n(from.values.begin() + source * t, t, to.values.begin() + target * t);
  std::copy_n(from.classes.begin() + source * t, t, to.classes.begin() + target * t);
}

}  // namespace

LabelMap mirrored(const LabelMap& map) {
  LabelMap out = empty_like(map);
  for (int64_t y = 0; y < map.height; ++y)
    for (int64_t x = 0; x < map.width; ++x)
      copy_cell(map, y * map.width + map.width - 1 - x, out, y * map.width + x);
  return out;
}

LabelMap moved(const LabelMap& map, const Affine& m) {
  LabelMap out = empty_like(map);
  for (int64_t y = 0; y < map.height; ++y)
    for (int64_t x = 0; x < map.width; ++x) {
      const double cx = double(x) + 0.5, cy = double(y) + 0.5;
      const double p = m.a * cx + m.b * cy + m.c, q = m.d * cx + m.e * cy + m.f;
      const int64_t target = y * map.width + x;
      if (p >= 0 && p < double(map.width) && q >= 0 && q < double(map.height)) {
        copy_cell(map, int64_t(q) * map.width + int64_t(p), out, target);
      } else {
        const auto classes = out.classes.begin() + target * map.top;
        std::iota(classes, classes + map.top, 0);
      }
    }
  return out;
}

Affine in_cells(const Affine& m, int64_t width, int64_t height, const LabelMap& map) {
  const double sx = double(map.width) / double(width), sy = double(map.height) / double(height);
  return {m.a, m.b * sx / sy, m.c * sx, m.d * sy / sx, m.e, m.f * sy};
}

LabelMap apply_step(const AugmentStep& step, const LabelMap& map, int64_t width, int64_t height) {
  const std::optional<Affine> m = movement(step, width, height);
  return m ? moved(map, in_cells(*m, width, height, map)) : map;
}

}  // namespace rmt::data
