// What the pictures are painted with that the project draws itself: outlines, colours in patterns,
// a canvas, clutter. Coordinates: the picture is [0, 1] x [0, 1], y down; a shape has its own frame
// in which it about fills the unit circle. Every function that takes `random` draws from it in a
// fixed order.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "core/random.h"
#include "data/images/image.h"

namespace rmt::data::painting {

constexpr double kTurn = 6.283185307179586;  // an angle of 360 degrees

struct Point {
  double x, y;
};
using Rgb = std::array<double, 3>;

Rgb mix(const Rgb& a, const Rgb& b, double t);  // a + (b - a) t

struct Outline {
  const char* name;
  bool (*inside)(Point);
};
std::span<const Outline> outlines();  // "arrow" ... "triangle"

// A shape at its place in the picture: is a point of the picture inside?
struct Figure {
  bool (*outline)(Point);
  Point centre;
  double cosine, sine, squeeze;  // of the turn, divided by the radius; height over width
  Figure(int64_t label, Point centre_, double radius, double tilt, double squeeze_)
      : outline(outlines()[size_t(label)].inside),
        centre(centre_),
        cosine(std::cos(tilt) / radius),
        sine(std::sin(tilt) / radius),
        squeeze(squeeze_) {}
  bool operator()(Point p) const {
    const double x = p.x - centre.x, y = p.y - centre.y;
    return outline({x * cosine + y * sine, (y * cosine - x * sine) / squeeze});
  }
};

Rgb any_colour(Random& random);

// Two colours near the given one, in a pattern of one of five kinds.
class Texture {
 public:
  Texture(const Rgb& colour, Random& random);
  Rgb at(Point p) const;

 private:
  double noise(Point p, double f) const;

  int64_t kind_;
  Rgb first_{}, second_{};
  double cos_, sin_, frequency_, phase_;
  std::array<double, 64> lattice_;
};

// The picture while it is painted. inside(p) says what to cover, colour(p) with what; edges are
// smoothed by 4 x 4 samples a pixel.
class Canvas {
 public:
  explicit Canvas(int64_t size) : size_(size), pixels_(size_t(size * size)) {}

  template <class Inside, class Paint>
  void paint(Point centre, double radius, Inside inside, Paint colour) {
    for_covered(centre, radius, inside, [&](int64_t x, int64_t y, int hits) {
      Rgb& pixel = pixels_[size_t(y * size_ + x)];
      pixel = mix(pixel, colour(at(double(x) + 0.5, double(y) + 0.5)), hits / 16.);
    });
  }
  // Calls visit(x, y, how many of the pixel's 16 samples are inside) where these are not 0, looking
  // no further from the centre than `radius` along both axes.
  template <class Inside, class Visit>
  void for_covered(Point centre, double radius, Inside inside, Visit visit) const {
    auto range = [&](double c, int64_t end) {
      return std::clamp(int64_t(std::floor(c * double(size_))) + end, int64_t(0), size_);
    };
    for (int64_t y = range(centre.y - radius, 0); y < range(centre.y + radius, 1); ++y)
      for (int64_t x = range(centre.x - radius, 0); x < range(centre.x + radius, 1); ++x) {
        int hits = 0;
        for (int s = 0; s < 16; ++s)
          hits += inside(at(double(x) + (s % 4 + 0.5) / 4, double(y) + (s / 4 + 0.5) / 4));
        if (hits > 0) visit(x, y, hits);
      }
  }
  Image finish(double noise, Random& random) const;

 private:
  Point at(double x, double y) const { return {x / double(size_), y / double(size_)}; }
  int64_t size_;
  std::vector<Rgb> pixels_;
};

// Strokes, blobs and arcs that belong to no class.
void clutter(Canvas& canvas, int64_t pieces, Random& random);

}  // namespace rmt::data::painting
