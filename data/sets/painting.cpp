#include "data/sets/painting.h"

namespace rmt::data::painting {
namespace {

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

constexpr Outline kOutlines[] = {
    {"arrow", arrow}, {"circle", circle},       {"crescent", crescent}, {"cross", cross},
    {"heart", heart}, {"hourglass", hourglass}, {"ring", ring},         {"square", square},
    {"star", star},   {"triangle", triangle}};

double fraction(double x) { return x - std::floor(x); }

}  // namespace

Rgb mix(const Rgb& a, const Rgb& b, double t) {
  return {a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t};
}

std::span<const Outline> outlines() { return kOutlines; }

Rgb any_colour(Random& random) {
  return {random.uniform(0.1, 0.9), random.uniform(0.1, 0.9), random.uniform(0.1, 0.9)};
}

Texture::Texture(const Rgb& colour, Random& random) : kind_(random.below(5)) {
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

Rgb Texture::at(Point p) const {
  double u = p.x * cos_ + p.y * sin_, v = p.y * cos_ - p.x * sin_, f = frequency_;
  switch (kind_) {
    case 0: return mix(first_, second_, std::clamp(u * 0.7 + phase_, 0., 1.));  // gradient
    case 1:
      return mix(first_, second_,
                 smooth(-0.4, 0.4, std::sin(kTurn * (u * f + phase_))));  // stripes
    case 2:
      return mix(
          first_, second_,
          smooth(-0.2, 0.2,
                 std::sin(kTurn * (u * f / 2 + phase_)) * std::sin(kTurn * v * f / 2)));  // checks
    case 3:
      return mix(
          first_, second_,
          smooth(0.28, 0.4,
                 std::hypot(fraction(u * f + phase_) - 0.5, fraction(v * f) - 0.5)));  // dots
    default: return mix(first_, second_, 0.6 * noise(p, f / 2) + 0.4 * noise({p.y, p.x}, f));
  }
}

// Smooth noise: random values on a lattice that repeats every 8 points, interpolated.
double Texture::noise(Point p, double f) const {
  double x = p.x * f, y = p.y * f, i = std::floor(x), j = std::floor(y), s = smooth(0, 1, x - i),
         t = smooth(0, 1, y - j);
  auto value = [&](double a, double b) {
    return lattice_[size_t((int64_t(b) & 7) * 8 + (int64_t(a) & 7))];
  };
  double top = value(i, j) * (1 - s) + value(i + 1, j) * s,
         bottom = value(i, j + 1) * (1 - s) + value(i + 1, j + 1) * s;
  return top * (1 - t) + bottom * t;
}

Image Canvas::finish(double noise, Random& random) const {
  Image image{size_, size_, {}};
  image.rgb.reserve(size_t(size_ * size_ * 3));
  for (const Rgb& pixel : pixels_) {
    double grain = noise * random.normal();
    for (double v : pixel)
      image.rgb.push_back(uint8_t(std::clamp((v + grain) * 255 + 0.5, 0., 255.)));
  }
  return image;
}

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

}  // namespace rmt::data::painting
