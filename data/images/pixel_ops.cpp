// Compiled without fused multiply-adds (Makefile): Pillow rounds every product, and the byte is cut
// off right after.
#include "data/images/pixel_ops.h"

#include <algorithm>
#include <array>
#include <vector>

namespace rmt::data {
namespace {

using Table = std::array<uint8_t, 256>;
using Histogram = std::array<int64_t, 256>;

uint8_t to_byte(int64_t v) { return uint8_t(std::clamp<int64_t>(v, 0, 255)); }

template <class F>
Table table_of(F f) {
  Table table;
  for (int v = 0; v < 256; ++v) table[size_t(v)] = to_byte(int64_t(f(v)));
  return table;
}

void look_up(Pixels p, const std::array<Table, 3>& tables) {
  for (int64_t i = 0; i < p.width * p.height; ++i)
    for (size_t c = 0; c < 3; ++c) p.rgb[i * 3 + int64_t(c)] = tables[c][p.rgb[i * 3 + int64_t(c)]];
}
void look_up(Pixels p, const Table& table) {
  for (int64_t i = 0; i < p.width * p.height * 3; ++i) p.rgb[i] = table[p.rgb[i]];
}

std::array<Histogram, 3> histograms(Pixels p) {
  std::array<Histogram, 3> counts{};
  for (int64_t i = 0; i < p.width * p.height; ++i)
    for (size_t c = 0; c < 3; ++c) ++counts[c][p.rgb[i * 3 + int64_t(c)]];
  return counts;
}

int least(const Histogram& h) {
  return int(std::find_if(h.begin(), h.end(), [](int64_t n) { return n > 0; }) - h.begin());
}
int greatest(const Histogram& h) {
  return 255 -
         int(std::find_if(h.rbegin(), h.rend(), [](int64_t n) { return n > 0; }) - h.rbegin());
}

const Table kIdentity = table_of([](int v) { return v; });

// ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in 16 fractional bits, rounded.
int grey(const uint8_t* rgb) {
  return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + (1 << 15)) >> 16;
}

// In floats, rounded after the product and after the sum, then cut.
uint8_t blend(int from, int to, float factor) {
  const float v = float(from) + factor * float(to - from);
  return uint8_t(std::clamp(v, 0.f, 255.f));
}

// p = blend from `start`, a picture of the same size.
void blend(const uint8_t* start, Pixels p, float factor) {
  for (int64_t i = 0; i < p.width * p.height * 3; ++i) p.rgb[i] = blend(start[i], p.rgb[i], factor);
}

// One thread's picture to blend from: kept, since fresh pages for every image would cost more than
// the arithmetic.
uint8_t* start_for(Pixels p) {
  thread_local std::vector<uint8_t> bytes;
  bytes.resize(size_t(p.width * p.height * 3));
  return bytes.data();
}

}  // namespace

void autocontrast(Pixels p) {
  if (p.width * p.height == 0) return;
  std::array<Table, 3> tables;
  const std::array<Histogram, 3> counts = histograms(p);
  for (size_t c = 0; c < 3; ++c) {
    const int lo = least(counts[c]), hi = greatest(counts[c]);
    const double scale = 255.0 / std::max(hi - lo, 1), offset = -lo * scale;
    tables[c] = hi > lo ? table_of([&](int v) { return v * scale + offset; }) : kIdentity;
  }
  look_up(p, tables);
}

// The cumulative histogram below v, divided by a step that is 1/255 of all pixels but those of the
// greatest value.
void equalize(Pixels p) {
  if (p.width * p.height == 0) return;
  std::array<Table, 3> tables;
  const std::array<Histogram, 3> counts = histograms(p);
  for (size_t c = 0; c < 3; ++c) {
    const int64_t step = (p.width * p.height - counts[c][size_t(greatest(counts[c]))]) / 255;
    int64_t below = step / 2;
    tables[c] = kIdentity;  // stays for fewer pixels than values
    for (size_t v = 0; v < 256 && step > 0; below += counts[c][v], ++v)
      tables[c][v] = to_byte(below / step);
  }
  look_up(p, tables);
}

void invert(Pixels p) {
  look_up(p, table_of([](int v) { return 255 - v; }));
}

void posterize(Pixels p, int bits) {
  const int mask = 0xFF << (8 - std::clamp(bits, 0, 8));
  look_up(p, table_of([&](int v) { return v & mask & 0xFF; }));
}

void solarize(Pixels p, int threshold) {
  look_up(p, table_of([&](int v) { return v < threshold ? v : 255 - v; }));
}

void solarize_add(Pixels p, int amount) {
  look_up(p, table_of([&](int v) { return v < 128 ? v + amount : v; }));
}

void brightness(Pixels p, double factor) {
  look_up(p, table_of([&](int v) { return blend(0, v, float(factor)); }));
}

void contrast(Pixels p, double factor) {
  const int64_t n = p.width * p.height;
  if (n == 0) return;
  int64_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += grey(p.rgb + i * 3);
  const int mean = int(double(sum) / double(n) + 0.5);
  look_up(p, table_of([&](int v) { return blend(mean, v, float(factor)); }));
}

void saturation(Pixels p, double factor) {
  uint8_t* start = start_for(p);
  for (int64_t i = 0; i < p.width * p.height * 3; i += 3)
    start[i] = start[i + 1] = start[i + 2] = uint8_t(grey(p.rgb + i));
  blend(start, p, float(factor));
}

// Smoothed: (the 3 x 3 neighbours' sum + 4 v) / 13, rounded; thirteenths have no ties. The
// outermost pixels have no such neighbours and stay.
void sharpness(Pixels p, double factor) {
  uint8_t* start = start_for(p);
  const int64_t row = p.width * 3;
  std::copy(p.rgb, p.rgb + p.height * row, start);
  for (int64_t y = 1; y < p.height - 1; ++y)
    for (int64_t i = 3; i < row - 3; ++i) {
      const uint8_t* v = p.rgb + y * row + i;
      int sum = 4 * v[0];
      for (const uint8_t* line : {v - row, v, v + row}) sum += line[-3] + line[0] + line[3];
      start[y * row + i] = uint8_t((2 * sum + 13) / 26);
    }
  blend(start, p, float(factor));
}

void mirror(Pixels p) {
  for (int64_t y = 0; y < p.height; ++y)
    for (uint8_t *left = p.rgb + y * p.width * 3, *right = left + (p.width - 1) * 3; left < right;
         left += 3, right -= 3)
      std::swap_ranges(left, left + 3, right);
}

}  // namespace rmt::data
