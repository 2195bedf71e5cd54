// Boxes: how much two overlap, and how a network says where one lies.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace rmt::nn {

// Corners in pixels, x to the right and y downwards: the box covers [x1, x2] x [y1, y2].
struct Box {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  double width() const { return x2 - x1; }
  double height() const { return y2 - y1; }
  double area() const { return width() * height(); }
  bool operator==(const Box&) const = default;
};

// Intersection over union: |A and B| / |A or B|, with 1e-6 as the least union. In [0, 1].
double iou(const Box& a, const Box& b);

// A box relative to another: (dx, dy, dw, dh).
using Delta = std::array<double, 4>;

// The deltas that lead from box p to box g, each divided by its deviation in `stds`, which makes
// the four of like size:
//   dx = (centre of g - centre of p) / width of p      dw = log(width of g / width of p)
// and so dy and dh with heights.
Delta encode(const Box& p, const Box& g, const Delta& stds);

// The box that deltas lead to from p; decode(p, encode(p, g, stds), stds) = g. The logarithms are
// cut at +-log(1000 / 16), so that a wild delta makes no box of infinite size.
Box decode(const Box& p, const Delta& d, const Delta& stds);

// The part of a box that lies in an image of that size: corners are moved to its border.
Box clip(const Box& b, double width, double height);

}  // namespace rmt::nn
