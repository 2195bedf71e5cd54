// Numbers on a map as colours, laid over a photograph.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "data/images/font.h"
#include "data/images/image.h"

namespace rmt {

using HeatColour = std::array<double, 3>;  // red, green, blue from 0 to 255

inline HeatColour between(const HeatColour& a, const HeatColour& b, double share) {
  HeatColour c;
  for (int i = 0; i < 3; ++i) c[i] = a[i] + share * (b[i] - a[i]);
  return c;
}

// From black over violet and orange to a pale yellow, brighter at every step: it reads the same in
// grey. t in [0, 1].
inline HeatColour heat(double t) {
  static const HeatColour stops[] = {
      {0, 0, 4}, {87, 16, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}};
  const double place = 4 * std::clamp(t, 0., 1.);
  const int stop = std::min(int(place), 3);
  return between(stops[stop], stops[stop + 1], place - stop);
}

// Blue below zero, grey at it, orange above it. t in [-1, 1].
inline HeatColour difference_colour(double t) {
  const HeatColour grey{60, 60, 60};
  const HeatColour end = t < 0 ? HeatColour{70, 160, 255} : HeatColour{255, 150, 40};
  return between(grey, end, std::min(std::abs(t), 1.));
}

// A map of H x W numbers; `marked` is the cell that gets a white frame, or -1.
struct HeatMap {
  int64_t H, W;
  std::vector<double> values;
  int64_t marked = -1;

  double most() const {
    double most = 0;
    for (double v : values) most = std::max(most, std::abs(v));
    return most;
  }
};

// Is the pixel (row, column) of a picture (S, S) on the frame of the map's marked cell?
inline bool on_frame(int64_t row, int64_t column, int64_t S, int64_t H, int64_t W, int64_t marked) {
  const int64_t y = row * H / S, x = column * W / S;
  if (y * W + x != marked) return false;
  for (int64_t near : {-2, 2})
    if ((row + near) * H / S != y || (column + near) * W / S != x) return true;
  return false;
}

// The pixel of the photograph that a picture (S, S) shows at (row, column).
inline HeatColour pixel_of(const data::Image& photograph, int64_t S, int64_t row, int64_t column) {
  const int64_t y = row * photograph.height / S, x = column * photograph.width / S;
  const uint8_t* p = &photograph.rgb[(y * photograph.width + x) * 3];
  return {double(p[0]), double(p[1]), double(p[2])};
}

// A picture (S, S) of colour(row, column), the marked cell of an H x W map in a white frame.
template <class F>
data::Image draw_picture(int64_t S, int64_t H, int64_t W, int64_t marked, const F& colour) {
  data::Image out{S, S, std::vector<uint8_t>(size_t(S * S * 3))};
  for (int64_t row = 0; row < S; ++row)
    for (int64_t column = 0; column < S; ++column) {
      HeatColour c = colour(row, column);
      if (on_frame(row, column, S, H, W, marked)) c = {255, 255, 255};
      for (int i = 0; i < 3; ++i) out.rgb[(row * S + column) * 3 + i] = uint8_t(std::lround(c[i]));
    }
  return out;
}

// The photograph as it is, with a cell of an H x W map in a frame.
inline data::Image framed_picture(const data::Image& photograph, int64_t S, int64_t H, int64_t W,
                                  int64_t marked) {
  return draw_picture(S, H, W, marked, [&](int64_t row, int64_t column) {
    return pixel_of(photograph, S, row, column);
  });
}

// Every cell of the map as a block of its colour. Beneath dark colours the photograph shows in
// grey; without one there are colours alone.
inline data::Image heat_picture(const HeatMap& map, int64_t S, const data::Image* photograph,
                                HeatColour (*colour)(double)) {
  const double most = map.most() > 0 ? map.most() : 1;
  return draw_picture(S, map.H, map.W, map.marked, [&](int64_t row, int64_t column) {
    const double t = map.values[row * map.H / S * map.W + column * map.W / S] / most;
    if (!photograph) return colour(t);
    const HeatColour p = pixel_of(*photograph, S, row, column);
    const double grey = 0.3 * p[0] + 0.59 * p[1] + 0.11 * p[2];
    return between({grey, grey, grey}, colour(t), 0.35 + 0.65 * std::sqrt(std::abs(t)));
  });
}

}  // namespace rmt
