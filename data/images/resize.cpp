// The arithmetic of Pillow's Resample.c, in an order that suits SIMD: y = sum_t k_t x_t with the
// filter stretched by the reduction factor, first along rows, rounded to bytes, then along columns.
// Weights are integers of 22 fractional bits, so the order of a sum cannot change a byte.
#include "data/images/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace rmt::data {
namespace {

constexpr int kBits = 22;       // Pillow's PRECISION_BITS
constexpr int64_t kLanes = 16;  // bytes handled together
typedef uint8_t ByteLanes __attribute__((vector_size(16)));
typedef uint16_t ShortLanes __attribute__((vector_size(32)));
typedef int32_t IntLanes __attribute__((vector_size(64)));

inline ByteLanes load(const uint8_t* p) {
  ByteLanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(uint8_t* p, ByteLanes v) { std::memcpy(p, &v, sizeof v); }
// By way of 16 bits: the direct conversions become one instruction a lane (GCC 12).
inline IntLanes widen(ByteLanes v) {
  return __builtin_convertvector(__builtin_convertvector(v, ShortLanes), IntLanes);
}
inline ByteLanes round_to_bytes(IntLanes sum) {
  const IntLanes zero = {}, top = zero + 255;
  IntLanes v = sum >> kBits;
  v = v < zero ? zero : v;
  v = v > top ? top : v;
  return __builtin_convertvector(__builtin_convertvector(v, ShortLanes), ByteLanes);
}
inline IntLanes half() { return IntLanes{} + (1 << (kBits - 1)); }

// Keys's cubic with a = -0.5.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// The filters: a weight for a distance in pixels, 0 beyond `support`.
struct Filter {
  double support;
  double (*weight)(double x);
};
double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }
Filter filter_of(Resampling r) {
  return r == Resampling::bilinear ? Filter{1, triangle} : Filter{2, bicubic};
}

// Result i of n is the sum of weight[i * most + t] * source[first[i] + t] for t < count[i].
struct Taps {
  int64_t most;
  std::vector<int64_t> first, count;
  std::vector<int32_t> weight;
};

// The taps of results [begin, begin + n) when `from` pixels become `to`.
Taps make_taps(const Filter& filter, int64_t from, int64_t to, int64_t begin, int64_t n) {
  const double scale = double(from) / double(to), stretch = std::max(scale, 1.0),
               support = filter.support * stretch;
  Taps taps;
  taps.most = int64_t(std::ceil(support)) * 2 + 1;
  taps.first.resize(size_t(n));
  taps.count.resize(size_t(n));
  taps.weight.resize(size_t(n * taps.most));
  std::vector<double> w(size_t(taps.most), 0);
  for (int64_t i = 0; i < n; ++i) {
    double center = (double(begin + i) + 0.5) * scale, sum = 0;
    int64_t lo = std::max<int64_t>(0, int64_t(center - support + 0.5)),
            hi = std::min(from, int64_t(center + support + 0.5));
    for (int64_t x = lo; x < hi; ++x)
      sum += w[size_t(x - lo)] = filter.weight((double(x) - center + 0.5) / stretch);
    for (int64_t t = 0; t < hi - lo; ++t) {
      double k = w[size_t(t)] / (sum != 0 ? sum : 1) * (1 << kBits);
      taps.weight[size_t(i * taps.most + t)] = int32_t(k < 0 ? k - 0.5 : k + 0.5);
    }
    taps.first[size_t(i)] = lo;
    taps.count[size_t(i)] = hi - lo;
  }
  return taps;
}

// 16 x 16 bytes, rows `from_step` apart -> their transpose, rows `to_step` apart: four rounds of
// interleaving row i with row i + 8.
void transpose(const uint8_t* const from[16], uint8_t* to, int64_t to_step) {
  ByteLanes a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = load(from[i]);
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                         6, 22, 7, 23);
      b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                             13, 29, 14, 30, 15, 31);
    }
    std::memcpy(a, b, sizeof a);
  }
  for (int i = 0; i < 16; ++i) store(to + i * to_step, a[i]);
}

int64_t round_up(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// One strip of up to 16 rows along x: the strip is transposed, so that a lane is a row and a weight
// serves all of them, and transposed back. source: the rows' bytes from column taps.first[0] on,
// `bytes` of each that may be read; out: rows `step` apart, step a multiple of 16.
void strip_along_x(const uint8_t* const source[16], int64_t bytes, const Taps& taps,
                   std::vector<uint8_t>& scratch, uint8_t* out, int64_t step, int64_t rows) {
  const int64_t n = int64_t(taps.first.size());
  scratch.resize(size_t((round_up(bytes) + step) * kLanes));
  uint8_t *in = scratch.data(), *result = in + round_up(bytes) * kLanes;
  for (int64_t b = 0; b < bytes; b += kLanes) {
    const uint8_t* part[16];
    uint8_t tail[16][16] = {};
    for (int r = 0; r < 16; ++r) {
      part[r] = source[r] + b;
      if (b + kLanes > bytes)
        part[r] = static_cast<uint8_t*>(std::memcpy(tail[r], part[r], size_t(bytes - b)));
    }
    transpose(part, in + b * kLanes, kLanes);
  }
  for (int64_t i = 0; i < n; ++i) {
    const int32_t* k = &taps.weight[size_t(i * taps.most)];
    const uint8_t* x = in + (taps.first[size_t(i)] - taps.first[0]) * 3 * kLanes;
    IntLanes red = half(), green = half(), blue = half();
    for (int64_t t = 0; t < taps.count[size_t(i)]; ++t, x += 3 * kLanes) {
      red += widen(load(x)) * k[t];
      green += widen(load(x + kLanes)) * k[t];
      blue += widen(load(x + 2 * kLanes)) * k[t];
    }
    uint8_t* y = result + i * 3 * kLanes;
    store(y, round_to_bytes(red));
    store(y + kLanes, round_to_bytes(green));
    store(y + 2 * kLanes, round_to_bytes(blue));
  }
  for (int64_t b = 0; b < step; b += kLanes) {
    const uint8_t* part[16];
    for (int r = 0; r < 16; ++r) part[r] = result + (b + r) * kLanes;
    uint8_t block[16][16];
    transpose(part, block[0], 16);
    for (int64_t r = 0; r < rows; ++r) std::memcpy(out + r * step + b, block[r], 16);
  }
}

// One row of `bytes` bytes from the rows of `in`, `step` (a multiple of 16) apart.
void row_along_y(const uint8_t* in, int64_t step, const int32_t* k, int64_t count, uint8_t* out,
                 int64_t bytes) {
  for (int64_t b = 0; b < bytes; b += kLanes) {
    IntLanes sum = half();
    for (int64_t t = 0; t < count; ++t) sum += widen(load(in + t * step + b)) * k[t];
    ByteLanes y = round_to_bytes(sum);
    std::memcpy(out + b, &y, size_t(std::min(kLanes, bytes - b)));
  }
}

void check_boxes(const Image& image, const Crop& box, int64_t width, int64_t height,
                 const Crop& window) {
  auto inside = [](const Crop& c, int64_t w, int64_t h) {
    return c.x >= 0 && c.y >= 0 && c.width > 0 && c.height > 0 && c.width <= w - c.x &&
           c.height <= h - c.y;
  };
  CHECK(int64_t(image.rgb.size()) == image.width * image.height * 3, "resize: ", image.rgb.size(),
        " bytes are no ", image.width, " x ", image.height, " image");
  CHECK(inside(box, image.width, image.height), "resize: the crop ", box.width, " x ", box.height,
        " at (", box.x, ", ", box.y, ") is not inside ", image.width, " x ", image.height);
  CHECK(inside(window, width, height), "resize: the window ", window.width, " x ", window.height,
        " at (", window.x, ", ", window.y, ") is not inside ", width, " x ", height);
}

}  // namespace

void resize(const Image& image, const Crop& box, int64_t width, int64_t height, const Crop& window,
            uint8_t* out, Resampling resampling) {
  check_boxes(image, box, width, height, window);
  const int64_t pitch = image.width * 3, bytes = window.width * 3;
  auto pixel = [&](int64_t x, int64_t y) {
    return image.rgb.data() + (box.y + y) * pitch + (box.x + x) * 3;
  };
  if (box.width == width && box.height == height) {  // nothing to resize
    for (int64_t y = 0; y < window.height; ++y)
      std::memcpy(out + y * bytes, pixel(window.x, window.y + y), size_t(bytes));
    return;
  }
  const Filter filter = filter_of(resampling);
  const Taps across = make_taps(filter, box.width, width, window.x, window.width),
             down = make_taps(filter, box.height, height, window.y, window.height);
  // The source's rows and columns that matter.
  const int64_t top = down.first.front(), bottom = down.first.back() + down.count.back();
  const int64_t left = across.first.front(), right = across.first.back() + across.count.back();
  const int64_t step = round_up(bytes);
  // Kept: fresh pages for every image would cost more than the arithmetic.
  thread_local std::vector<uint8_t> rows, scratch;
  rows.resize(size_t((bottom - top) * step));
  for (int64_t y = top; y < bottom; y += 16) {
    const uint8_t* source[16];
    for (int64_t r = 0; r < 16; ++r) source[r] = pixel(left, std::min(y + r, bottom - 1));
    strip_along_x(source, (right - left) * 3, across, scratch, rows.data() + (y - top) * step, step,
                  std::min<int64_t>(16, bottom - y));
  }
  for (int64_t y = 0; y < window.height; ++y) {
    size_t i = size_t(y);
    row_along_y(rows.data() + (down.first[i] - top) * step, step,
                &down.weight[i * size_t(down.most)], down.count[i], out + y * bytes, bytes);
  }
}

Image resize(const Image& image, const Crop& box, int64_t width, int64_t height) {
  CHECK(width > 0 && height > 0, "resize: to ", width, " x ", height, " pixels");
  Image result{width, height, std::vector<uint8_t>(size_t(width * height * 3))};
  resize(image, box, width, height, {0, 0, width, height}, result.rgb.data());
  return result;
}

}  // namespace rmt::data
