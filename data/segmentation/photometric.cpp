// Compiled without contraction of products and sums (Makefile): where OpenCV uses a fused
// multiply-add, std::fma says so, and everywhere else it rounds each product.
//
// With V = max(r, g, b) and d = V - min(r, g, b), OpenCV's 8-bit HSV is
//   S = d 255 / V
//   H = 30 (g - b) / d        where V = r    in units of 2 degrees, + 180 where it is negative
//     = 30 (b - r) / d + 60   where V = g
//     = 30 (r - g) / d + 120  where V = b
// with quotients by tables of 12 fractional bits; and back in f32 with k = floor(H / 30) and
// f = H / 30 - k, the ramps p, q, t between 0 and V.
//
// On the way back OpenCV handles 32 pixels of a row at once (x86-64 with AVX2, which all wheels
// have) and cuts these to whole numbers; the last width mod 32 pixels go one by one and are
// rounded. So a colour is mostly half a step too dark, and pictures that are to be equal to those
// of the published training must be, too.
#include "data/segmentation/photometric.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace rmt::data {
namespace {

constexpr int kBlock = 256;        // pixels that are worked on together
constexpr int64_t kTogether = 32;  // that OpenCV does

// Pixels of a row, one plane for each channel.
struct Block {
  alignas(64) int32_t a[kBlock], b[kBlock], c[kBlock];  // r, g, b or h, s, v
  int n = 0;
  bool cut = true;  // on the way back from HSV, else rounded
};

using Table = std::array<uint8_t, 256>;

// v -> the whole part of v factor + offset in f32, cut to [0, 255].
Table table_of(float factor, float offset) {
  Table table;
  for (int v = 0; v < 256; ++v)
    table[size_t(v)] = uint8_t(std::clamp(float(v) * factor + offset, 0.f, 255.f));
  return table;
}

struct Quotients {
  std::array<int32_t, 256> saturation{}, hue{};  // 255 / i and 30 / i in 12 bits, 0 for i = 0
  Quotients() {
    for (int i = 1; i < 256; ++i) {
      saturation[size_t(i)] = int32_t(std::lrint((255 << 12) / double(i)));
      hue[size_t(i)] = int32_t(std::lrint((180 << 12) / (6. * i)));
    }
  }
};

// (r, g, b) -> (h, s, v). Here and below, every case is computed and one is chosen, so that the
// loops become SIMD.
void to_hsv(Block& __restrict px) {
  static const Quotients quotients;
  const int32_t* __restrict by_v = quotients.saturation.data();
  const int32_t* __restrict by_d = quotients.hue.data();
  for (int i = 0; i < px.n; ++i) {
    const int32_t r = px.a[i], g = px.b[i], b = px.c[i];
    const int32_t v = std::max(r, std::max(g, b)), d = v - std::min(r, std::min(g, b));
    const int32_t from_r = g - b, from_g = b - r + 2 * d, from_b = r - g + 4 * d;
    const int32_t not_r = v == g ? from_g : from_b, part = v == r ? from_r : not_r;
    const int32_t h = (part * by_d[d] + (1 << 11)) >> 12, turned = h + 180;
    px.a[i] = h < 0 ? turned : h;
    px.b[i] = (d * by_v[v] + (1 << 11)) >> 12;
    px.c[i] = v;
  }
}

template <bool kCut>
int32_t to_byte(float x) {
  return int32_t(kCut ? x * 255 : std::nearbyint(x * 255));
}

// A channel's ramp over the six sixths k of the circle.
float choose(int32_t k, int32_t q_at, int32_t t_at, int32_t v_at, int32_t v_too, float p, float q,
             float t, float v) {
  float x = k == q_at ? q : p;
  x = k == t_at ? t : x;
  x = k == v_at ? v : x;
  return k == v_too ? v : x;
}

template <bool kCut>
void to_rgb(Block& px) {
  for (int i = 0; i < px.n; ++i) {
    const float h = float(px.a[i]) * (6.f / 180), s = float(px.b[i]) * (1.f / 255),
                v = float(px.c[i]) * (1.f / 255);
    const int32_t k = int32_t(h);
    const float f = h - float(k);
    const float p = v * (1 - s), q = v * std::fma(-s, f, 1.f), t = v * std::fma(-s, 1 - f, 1.f);
    px.a[i] = to_byte<kCut>(choose(k, 1, 4, 0, 5, p, q, t, v));
    px.b[i] = to_byte<kCut>(choose(k, 3, 0, 1, 2, p, q, t, v));
    px.c[i] = to_byte<kCut>(choose(k, 5, 2, 3, 4, p, q, t, v));
  }
}

// (h, s, v) -> (r, g, b)
void to_rgb(Block& px) { px.cut ? to_rgb<true>(px) : to_rgb<false>(px); }

void scale_saturation(Block& px, float factor) {
  to_hsv(px);
  for (int i = 0; i < px.n; ++i)
    px.b[i] = int32_t(std::min(std::max(float(px.b[i]) * factor, 0.f), 255.f));
  to_rgb(px);
}

void turn_hue(Block& px, int32_t by) {
  to_hsv(px);
  for (int i = 0; i < px.n; ++i) {
    const int32_t h = px.a[i] + by;
    px.a[i] = h < 0 ? h + 180 : h >= 180 ? h - 180 : h;
  }
  to_rgb(px);
}

// Saturation and hue, each with its own way to HSV and back: that makes bytes in between.
void distort_block(uint8_t* rgb, Block& px, const Photometric& steps) {
  for (int i = 0; i < px.n; ++i) {
    px.a[i] = rgb[3 * i];
    px.b[i] = rgb[3 * i + 1];
    px.c[i] = rgb[3 * i + 2];
  }
  if (steps.saturation) scale_saturation(px, *steps.saturation);
  if (steps.hue) turn_hue(px, *steps.hue);
  for (int i = 0; i < px.n; ++i) {
    rgb[3 * i] = uint8_t(px.a[i]);
    rgb[3 * i + 1] = uint8_t(px.b[i]);
    rgb[3 * i + 2] = uint8_t(px.c[i]);
  }
}

void distort_hsv(Image& image, const Photometric& steps) {
  const int64_t together = image.width / kTogether * kTogether;
  Block px;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; x += px.n) {
      px.cut = x < together;
      px.n = int(std::min<int64_t>(kBlock, (px.cut ? together : image.width) - x));
      distort_block(image.rgb.data() + (y * image.width + x) * 3, px, steps);
    }
}

void look_up(Image& image, const Table& table) {
  for (uint8_t& v : image.rgb) v = table[v];
}

}  // namespace

Photometric draw_photometric(const PhotometricOptions& options, Draws& draws) {
  const auto coin = [&] { return draws.integer(0, 2) == 1; };
  Photometric steps;
  const auto contrast = [&] {
    if (coin()) steps.contrast = float(draws.uniform(options.contrast_min, options.contrast_max));
  };
  if (coin()) steps.brightness = float(draws.uniform(-options.brightness, options.brightness));
  steps.contrast_first = coin();
  if (steps.contrast_first) contrast();
  if (coin())
    steps.saturation = float(draws.uniform(options.saturation_min, options.saturation_max));
  if (coin()) steps.hue = int(draws.integer(-options.hue, options.hue));
  if (!steps.contrast_first) contrast();
  return steps;
}

void distort(Image& image, const Photometric& steps) {
  if (steps.brightness) look_up(image, table_of(1, *steps.brightness));
  if (steps.contrast && steps.contrast_first) look_up(image, table_of(*steps.contrast, 0));
  if (steps.saturation || steps.hue) distort_hsv(image, steps);
  if (steps.contrast && !steps.contrast_first) look_up(image, table_of(*steps.contrast, 0));
}

}  // namespace rmt::data
