#include "nn/detection/box.h"

#include <algorithm>

namespace rmt::nn {

double iou(const Box& a, const Box& b) {
  const double w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1),
               h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (w <= 0 || h <= 0) return 0;
  return w * h / std::max(a.area() + b.area() - w * h, 1e-6);
}

Delta encode(const Box& p, const Box& g, const Delta& stds) {
  const double pw = p.width(), ph = p.height();
  return {((g.x1 + g.x2) - (p.x1 + p.x2)) / 2 / pw / stds[0],
          ((g.y1 + g.y2) - (p.y1 + p.y2)) / 2 / ph / stds[1], std::log(g.width() / pw) / stds[2],
          std::log(g.height() / ph) / stds[3]};
}

Box decode(const Box& p, const Delta& d, const Delta& stds) {
  const double most = std::log(1000. / 16);
  const double w = p.width() * std::exp(std::clamp(d[2] * stds[2], -most, most)),
               h = p.height() * std::exp(std::clamp(d[3] * stds[3], -most, most)),
               x = (p.x1 + p.x2) / 2 + p.width() * d[0] * stds[0],
               y = (p.y1 + p.y2) / 2 + p.height() * d[1] * stds[1];
  return {x - w / 2, y - h / 2, x + w / 2, y + h / 2};
}

Box clip(const Box& b, double width, double height) {
  return {std::clamp(b.x1, 0., width), std::clamp(b.y1, 0., height), std::clamp(b.x2, 0., width),
          std::clamp(b.y2, 0., height)};
}

}  // namespace rmt::nn
