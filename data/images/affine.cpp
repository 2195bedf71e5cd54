// Compiled without fused multiply-adds (Makefile): Pillow rounds every product, and a sum just
// below an integer loses a whole level when it is cut.
#include "data/images/affine.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace rmt::data {
namespace {

typedef double Quad __attribute__((vector_size(32)));  // red, green, blue, nothing
typedef int32_t Ints __attribute__((vector_size(16)));

// Clipped, then cut.
inline void store(Quad v, uint8_t* p) {
  const Quad zero = {}, top = zero + 255.0;
  v = v < zero ? zero : v;
  v = v > top ? top : v;
  const Ints bytes = __builtin_convertvector(v, Ints);
  for (int c = 0; c < 3; ++c) p[c] = uint8_t(bytes[c]);
}

// Between v[0] and v[1], at t of the way.
inline Quad linear(const Quad v[2], double t) { return v[0] + (v[1] - v[0]) * t; }

// Between v[1] and v[2]: Keys's cubic with a = -1 in powers of t. In this order of sums, which a
// byte can depend on.
inline Quad cubic(const Quad v[4], double t) {
  const Quad first = v[2] - v[0], second = 2.0 * (v[0] - v[1]) + v[2] - v[3],
             third = v[1] - v[0] - v[2] + v[3];
  return v[1] + t * (first + t * (second + t * third));
}

// Beyond its edge the edge goes on.
struct Source {
  const Quad* pixels;
  int64_t width, height;
  const Quad* row(int64_t y) const {
    return pixels + std::clamp<int64_t>(y, 0, height - 1) * width;
  }
  int64_t column(int64_t x) const { return std::clamp<int64_t>(x, 0, width - 1); }
};

// Along one row of the source, between 2 or 4 of its columns; at t = 0 the weights of all but one
// are 0, and sums of zeros change no bit.
template <int taps>
inline Quad along(const Quad* row, const int64_t columns[taps], double t) {
  if (t == 0) return row[columns[taps / 2 - 1]];
  Quad v[taps];
  for (int i = 0; i < taps; ++i) v[i] = row[columns[i]];
  return taps == 2 ? linear(v, t) : cubic(v, t);
}

// The value at (x, y): along rows first, then across the 2 or 4 results. Shears and shifts keep to
// whole rows or columns: a quarter of the work.
template <int taps>
inline Quad sample(const Source& s, double x, double y) {
  x -= 0.5;
  y -= 0.5;
  const double left = std::floor(x), top = std::floor(y);
  int64_t columns[taps];
  for (int i = 0; i < taps; ++i) columns[i] = s.column(int64_t(left) + i - (taps / 2 - 1));
  if (y == top) return along<taps>(s.row(int64_t(top)), columns, x - left);
  Quad across[taps];
  for (int j = 0; j < taps; ++j)
    across[j] = along<taps>(s.row(int64_t(top) + j - (taps / 2 - 1)), columns, x - left);
  return taps == 2 ? linear(across, y - top) : cubic(across, y - top);
}

template <int taps>
void resample(const Source& s, const Affine& m, Colour fill, uint8_t* out) {
  for (int64_t y = 0; y < s.height; ++y)
    for (int64_t x = 0; x < s.width; ++x, out += 3) {
      const double cx = double(x) + 0.5, cy = double(y) + 0.5;
      const double sx = m.a * cx + m.b * cy + m.c, sy = m.d * cx + m.e * cy + m.f;
      if (sx >= 0 && sx < double(s.width) && sy >= 0 && sy < double(s.height))
        store(sample<taps>(s, sx, sy), out);
      else
        std::copy(fill.begin(), fill.end(), out);
    }
}

// Python's round(x, 15): through decimal digits.
double round_15(double x) {
  char digits[32];
  const char* end =
      std::to_chars(digits, digits + sizeof digits, x, std::chars_format::fixed, 15).ptr;
  std::from_chars(digits, end, x);
  return x;
}

}  // namespace

void apply_affine(Pixels p, const Affine& m, Resampling resampling, Colour fill) {
  thread_local std::vector<Quad> copy;  // kept, as the scratch of pixel_ops.cpp
  copy.resize(size_t(p.width * p.height));
  const uint8_t* v = p.rgb;
  for (Quad& pixel : copy) {
    pixel = Quad{double(v[0]), double(v[1]), double(v[2])};
    v += 3;
  }
  const Source source{copy.data(), p.width, p.height};
  if (resampling == Resampling::bilinear)
    resample<2>(source, m, fill, p.rgb);
  else
    resample<4>(source, m, fill, p.rgb);
}

Affine shear_x(double factor) { return {.b = factor}; }
Affine shear_y(double factor) { return {.d = factor}; }
Affine translation(double dx, double dy) { return {.c = dx, .f = dy}; }

// Pillow brings the angle into [0, 360) and rounds sine and cosine to 15 decimals, which keeps
// right angles exact.
Affine rotation(double degrees, int64_t width, int64_t height) {
  constexpr double kPi = 3.141592653589793;
  double turn = std::fmod(degrees, 360.0);
  if (turn < 0) turn += 360.0;
  const double angle = -(turn * (kPi / 180)), cosine = round_15(std::cos(angle)),
               sine = round_15(std::sin(angle));
  const double x = double(width) / 2, y = double(height) / 2;  // the centre
  return {cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y};
}

}  // namespace rmt::data
