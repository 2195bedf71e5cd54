#include "nn/detection/anchors.h"

namespace rmt::nn {

AnchorRule anchors_of_proposals(double scale) { return {{scale}, {4, 8, 16, 32, 64}}; }

AnchorRule anchors_of_retinanet(double scale) {
  return {{scale, scale * std::pow(2, 1. / 3), scale * std::pow(2, 2. / 3)}, {8, 16, 32, 64, 128}};
}

std::vector<Box> anchors_of_level(const AnchorRule& rule, size_t level, int64_t h, int64_t w) {
  const double s = double(rule.strides.at(level));
  std::vector<Box> of_pixel, all;
  for (double ratio : {.5, 1., 2.})
    for (double q : rule.scales) {
      const double half_w = s * q / std::sqrt(ratio) / 2, half_h = s * q * std::sqrt(ratio) / 2;
      of_pixel.push_back({-half_w, -half_h, half_w, half_h});
    }
  all.reserve(size_t(h * w) * of_pixel.size());
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x)
      for (const Box& b : of_pixel) {
        const double dx = double(x) * s, dy = double(y) * s;
        all.push_back({b.x1 + dx, b.y1 + dy, b.x2 + dx, b.y2 + dy});
      }
  return all;
}

std::vector<char> valid_anchors(const AnchorRule& rule, size_t level, int64_t h, int64_t w,
                                int64_t image_height, int64_t image_width) {
  const int64_t s = rule.strides.at(level);
  const auto pixels = [s](int64_t n) { return ((n + 31) / 32 * 32 + s - 1) / s; };
  const int64_t valid_h = pixels(image_height), valid_w = pixels(image_width);
  std::vector<char> valid;
  valid.reserve(size_t(h * w * rule.per_pixel()));
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x)
      valid.insert(valid.end(), size_t(rule.per_pixel()), char(y < valid_h && x < valid_w));
  return valid;
}

}  // namespace rmt::nn
