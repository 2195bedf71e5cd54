// Painting. Coordinates: the picture is [0, 1] x [0, 1], y down; a shape has its own frame in which
// it about fills the unit circle.
#include "data/sets/drawings.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"

namespace rmt::data {
namespace {

constexpr double kTurn = 6.283185307179586;

struct Point {
  double x, y;
};
using Rgb = std::array<double, 3>;

Rgb mix(const Rgb& a, const Rgb& b, double t) {
  return {a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t};
}
double smooth(double lo, double hi, double x) {
  double t = std::clamp((x - lo) / (hi - lo), 0., 1.);
  return t * t * (3 - 2 * t);
}

// --- the outlines: is p inside? ---
bool arrow(Point p) {
  return p.x < 0.1 ? p.x > -0.95 && std::abs(p.y) < 0.24 : std::abs(p.y) < (1 - p.x) * 0.85;
}
bool circle(Point p) { return p.x * p.x + p.y * p.y < 0.85 * 0.85; }
bool crescent(Point p) {
  return p.x * p.x + p.y * p.y < 0.95 * 0.95 && (p.x - 0.5) * (p.x - 0.5) + p.y * p.y > 0.72 * 0.72;
}
bool cross(Point p) {
  double x = std::abs(p.x), y = std::abs(p.y);
  return std::min(x, y) < 0.3 && std::max(x, y) < 0.92;
}
bool heart(Point p) {  // (x^2 + y^2 - 1)^3 < x^2 y^3, upside down
  double x = p.x * 1.2, y = 0.1 - p.y * 1.2, r = x * x + y * y - 1;
  return r * r * r < x * x * y * y * y;
}
bool hourglass(Point p) {
  return std::abs(p.y) < 0.9 && std::abs(p.x) < 0.08 + 0.78 * std::abs(p.y);
}
bool ring(Point p) {
  double r = p.x * p.x + p.y * p.y;
  return r > 0.5 * 0.5 && r < 0.92 * 0.92;
}
bool square(Point p) { return std::max(std::abs(p.x), std::abs(p.y)) < 0.75; }
bool star(Point p) {  // five points at radius 1, five notches at 0.42: the edge between one of each
  double angle = std::abs(std::remainder(std::atan2(p.y, p.x), kTurn / 5)),
         r = std::hypot(p.x, p.y);
  Point q{r * std::cos(angle), r * std::sin(angle)},
      notch{0.42 * std::cos(kTurn / 10), 0.42 * std::sin(kTurn / 10)};
  return (1 - notch.x) * q.y < notch.y * (1 - q.x);
}
bool triangle(Point p) {
  return p.y < 0.5 && -0.866 * p.x - 0.5 * p.y < 0.5 && 0.866 * p.x - 0.5 * p.y < 0.5;
}

struct Shape {
  const char* name;
  bool (*inside)(Point);
};
constexpr Shape kShapes[] = {{"arrow", arrow},      {"circle", circle}, {"crescent", crescent},
                             {"cross", cross},      {"heart", heart},   {"hourglass", hourglass},
                             {"ring", ring},        {"square", square}, {"star", star},
                             {"triangle", triangle}};

// --- the paint: two colours in a pattern ---
class Texture {
 public:
  Texture(const Rgb& colour, Random& random) : kind_(random.below(5)) {
    double reach = random.uniform(0.04, 0.15);
    for (size_t c = 0; c < 3; ++c) {
      double d = random.uniform(-reach, reach);
      first_[c] = colour[c] - d;
      second_[c] = colour[c] + d;
    }
    double angle = random.uniform(0, kTurn);
    cos_ = std::cos(angle);
    sin_ = std::sin(angle);
    frequency_ = random.uniform(4, 11);
    phase_ = random.uniform();
    for (double& v : lattice_) v = random.uniform();
  }

  Rgb at(Point p) const {
    double u = p.x * cos_ + p.y * sin_, v = p.y * cos_ - p.x * sin_, f = frequency_;
    switch (kind_) {
      case 0: return mix(first_, second_, std::clamp(u * 0.7 + phase_, 0., 1.));  // gradient
      case 1:
        return mix(first_, second_,
                   smooth(-0.4, 0.4, std::sin(kTurn * (u * f + phase_))));  // stripes
      case 2:
        return mix(first_, second_,
                   smooth(-0.2, 0.2,
                          std::sin(kTurn * (u * f / 2 + phase_)) *
                              std::sin(kTurn * v * f / 2)));  // checks
      case 3:
        return mix(
            first_, second_,
            smooth(0.28, 0.4,
                   std::hypot(fraction(u * f + phase_) - 0.5, fraction(v * f) - 0.5)));  // dots
      default: return mix(first_, second_, 0.6 * noise(p, f / 2) + 0.4 * noise({p.y, p.x}, f));
    }
  }

 private:
  static double fraction(double x) { return x - std::floor(x); }
  // Smooth noise: random values on a lattice that repeats every 8 points, interpolated.
  double noise(Point p, double f) const {
    double x = p.x * f, y = p.y * f, i = std::floor(x), j = std::floor(y), s = smooth(0, 1, x - i),
           t = smooth(0, 1, y - j);
    auto value = [&](double a, double b) {
      return lattice_[size_t((int64_t(b) & 7) * 8 + (int64_t(a) & 7))];
    };
    double top = value(i, j) * (1 - s) + value(i + 1, j) * s,
           bottom = value(i, j + 1) * (1 - s) + value(i + 1, j + 1) * s;
    return top * (1 - t) + bottom * t;
  }

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
    auto range = [&](double c, int64_t end) {
      return std::clamp(int64_t(std::floor(c * double(size_))) + end, int64_t(0), size_);
    };
    for (int64_t y = range(centre.y - radius, 0); y < range(centre.y + radius, 1); ++y)
      for (int64_t x = range(centre.x - radius, 0); x < range(centre.x + radius, 1); ++x) {
        int hits = 0;
        for (int s = 0; s < 16; ++s)
          hits += inside(at(double(x) + (s % 4 + 0.5) / 4, double(y) + (s / 4 + 0.5) / 4));
        if (hits == 0) continue;
        Rgb& pixel = pixels_[size_t(y * size_ + x)];
        pixel = mix(pixel, colour(at(double(x) + 0.5, double(y) + 0.5)), hits / 16.);
      }
  }
  Image finish(double noise, Random& random) const {
    Image image{size_, size_, {}};
    image.rgb.reserve(size_t(size_ * size_ * 3));
    for (const Rgb& pixel : pixels_) {
      double grain = noise * random.normal();
      for (double v : pixel)
        image.rgb.push_back(uint8_t(std::clamp((v + grain) * 255 + 0.5, 0., 255.)));
    }
    return image;
  }

 private:
  Point at(double x, double y) const { return {x / double(size_), y / double(size_)}; }
  int64_t size_;
  std::vector<Rgb> pixels_;
};

Rgb any_colour(Random& random) {
  return {random.uniform(0.1, 0.9), random.uniform(0.1, 0.9), random.uniform(0.1, 0.9)};
}

// A colour at least `distance` from another: the contrast of a picture.
Rgb other_colour(const Rgb& from, double distance, Random& random) {
  for (;;) {
    Rgb c = any_colour(random);
    double d = 0;
    for (size_t i = 0; i < 3; ++i) d += (c[i] - from[i]) * (c[i] - from[i]);
    if (d >= distance * distance) return c;
  }
}

// Strokes, blobs and arcs that belong to no class.
void clutter(Canvas& canvas, int64_t pieces, Random& random) {
  for (int64_t i = 0; i < pieces; ++i) {
    const Rgb colour = any_colour(random);
    const Point c{random.uniform(), random.uniform()};
    const double angle = random.uniform(0, kTurn), cosine = std::cos(angle), sine = std::sin(angle),
                 thick = random.uniform(0.008, 0.018);
    const double length = random.uniform(0.08, 0.3), radius = random.uniform(0.02, 0.05);
    const int64_t kind = random.below(3);
    auto inside = [&](Point p) {
      double x = p.x - c.x, y = p.y - c.y, u = x * cosine + y * sine, v = y * cosine - x * sine;
      if (kind == 0) return std::abs(v) < thick && std::abs(u) < length;             // stroke
      if (kind == 1) return x * x + y * y < radius * radius;                         // blob
      return u > 0.3 * length && std::abs(std::hypot(x, y) - length * 0.6) < thick;  // arc
    };
    canvas.paint(c, length + radius, inside, [&](Point) { return colour; });
  }
}

}  // namespace

const std::vector<std::string>& drawing_classes() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Shape& shape : kShapes) all.push_back(shape.name);
    return all;
  }();
  return names;
}

// The ranges are tuned: rmt_n passes 90 % in about 5 epochs of 5000 pictures, softmax regression on
// the pixels stays at 16 %. Shapes at every angle, or with fainter contrast, take it several times
// as long.
Image draw_shape(int64_t size, int64_t label, Random random) {
  CHECK(size >= 16 && size <= 1024, "draw: ", size, " pixels a side is not in [16, 1024]");
  CHECK(label >= 0 && label < int64_t(std::size(kShapes)), "draw: there is no shape ", label);
  const Rgb back = any_colour(random),
            front = other_colour(back, random.uniform() < 0.15 ? 0.4 : 0.6, random);
  const Texture background(back, random), foreground(front, random);
  const double radius = random.uniform(0.28, 0.4), tilt = random.uniform(-kTurn / 24, kTurn / 24),
               squeeze = random.uniform(0.85, 1);
  const double margin = 0.05 + 0.9 * radius;
  const Point centre{random.uniform(margin, 1 - margin), random.uniform(margin, 1 - margin)};
  const double cosine = std::cos(tilt) / radius, sine = std::sin(tilt) / radius;
  auto inside = [&](Point p) {
    double x = p.x - centre.x, y = p.y - centre.y;
    return kShapes[label].inside({x * cosine + y * sine, (y * cosine - x * sine) / squeeze});
  };
  Canvas canvas(size);
  canvas.paint(
      {0.5, 0.5}, 0.5, [](Point) { return true; }, [&](Point p) { return background.at(p); });
  clutter(canvas, random.below(6), random);
  canvas.paint(centre, 1.1 * radius, inside, [&](Point p) { return foreground.at(p); });
  clutter(canvas, random.below(2), random);
  return canvas.finish(random.uniform(0, 0.04), random);
}

}  // namespace rmt::data
