// COCO's rule for the pixels in a polygon, to the pixel. With s = 5:
//
//   corner (x, y) -> (int(s x + .5), int(s y + .5)), on a grid five times as fine, in both axes
//   edge          -> points (u, v), one for each step along the axis in which it is longer; the
//                    other coordinate is int(start + slope t + .5)
//   crossing      -> two successive points at u = s X + 2 and s X + 3, in either order: the edge
//                    passes the middle of column X, at Y = ceil((min(v, v') + .5) / s - .5)
//
// Each crossing turns over all pixels of the mask from (X, Y) on, column by column, also those of
// the columns to its right. A closed polygon crosses a column an even number of times, so that only
// pixels between two crossings stay 1. Corners at the grid's negative side are rounded towards 0,
// which no pixel shows.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "data/masks/run_lengths.h"
#include "data/masks/runs.h"

namespace rmt::data {
namespace {

constexpr double kScale = 5;
constexpr double kMostCoordinate = 1e8;  // five times as much is less than an int may be

struct Corner {
  int64_t u, v;
};

int64_t on_grid(double coordinate) {
  CHECK(std::abs(coordinate) <= kMostCoordinate, "a polygon with the coordinate ", coordinate,
        "; those of an image are finite, and at most 1e8 here");
  return int64_t(kScale * coordinate + .5);
}

class Edges {
 public:
  Edges(int64_t width, int64_t height) : width_(width), height_(height) {}

  // From the end with the smaller coordinate along the longer axis, whichever comes first.
  void add(Corner a, Corner b) {
    const int64_t du = std::abs(b.u - a.u), dv = std::abs(b.v - a.v);
    if (du == 0) return;  // it stays in its column
    if (du >= dv) {
      if (a.u > b.u) std::swap(a, b);
      add_wide(a, b);
    } else {
      if (a.v > b.v) std::swap(a, b);
      add_tall(a, b);
    }
  }

  // Pixels between an odd crossing and the next.
  RunLengths pixels() {
    std::sort(turns_.begin(), turns_.end());
    RunWriter runs(width_, height_);
    bool on = false;
    int64_t at = 0;
    for (const int64_t turn : turns_) {
      runs.add(on, turn - at);
      on = !on;
      at = turn;
    }
    runs.add(on, width_ * height_ - at);
    return runs.finish();
  }

 private:
  // Columns X with first <= s X + 2 and s X + 3 <= last.
  template <class F>
  void each_column(int64_t first, int64_t last, const F& f) const {
    for (int64_t x = std::max<int64_t>(first + 2, 0) / 5; x < width_ && 5 * x + 3 <= last; ++x)
      f(x);
  }

  // v at the step from a.u + t on.
  void add_wide(Corner a, Corner b) {
    const double slope = double(b.v - a.v) / double(b.u - a.u);
    const auto v = [&](int64_t t) { return int64_t(double(a.v) + slope * double(t) + .5); };
    each_column(a.u, b.u, [&](int64_t x) {
      const int64_t t = 5 * x + 2 - a.u;
      turn(x, std::min(v(t), v(t + 1)));
    });
  }

  // Of the steps from a.v to b.v the one that passes from s X + 2 to s X + 3, or back: u goes one
  // way, so that it is found by halving.
  void add_tall(Corner a, Corner b) {
    const int64_t steps = b.v - a.v;
    const double slope = double(b.u - a.u) / double(steps);
    const auto u = [&](int64_t t) { return int64_t(double(a.u) + slope * double(t) + .5); };
    const bool rises = b.u > a.u;
    each_column(std::min(a.u, u(steps)), std::max(a.u, u(steps)), [&](int64_t x) {
      int64_t before = 0, behind = steps;  // on the two sides of the middle of column X
      while (behind - before > 1) {
        const int64_t t = (before + behind) / 2;
        ((u(t) >= 5 * x + 3) == rises ? behind : before) = t;
      }
      turn(x, a.v + before);
    });
  }

  void turn(int64_t x, int64_t v) {
    const double y = (double(v) + .5) / kScale - .5;
    turns_.push_back(x * height_ + int64_t(std::ceil(std::clamp(y, 0., double(height_)))));
  }

  int64_t width_, height_;
  std::vector<int64_t> turns_;
};

}  // namespace

RunLengths from_polygons(const std::vector<std::vector<double>>& polygons, int64_t width,
                         int64_t height) {
  check_mask_size(width, height);
  CHECK(!polygons.empty(), "a mask of no polygons");
  std::vector<RunLengths> masks;
  for (const std::vector<double>& polygon : polygons) {
    CHECK(polygon.size() % 2 == 0, "a polygon of ", polygon.size(),
          " coordinates; each point has two, x and y");
    CHECK(polygon.size() >= 6, "a polygon of ", polygon.size() / 2,
          " points; the smallest is a triangle");
    Edges edges(width, height);
    const auto corner = [&](size_t i) {
      return Corner{on_grid(polygon[2 * i]), on_grid(polygon[2 * i + 1])};
    };
    const size_t corners = polygon.size() / 2;
    for (size_t i = 0; i < corners; ++i) edges.add(corner(i), corner((i + 1) % corners));
    masks.push_back(edges.pixels());
  }
  return merge(masks);
}

}  // namespace rmt::data
