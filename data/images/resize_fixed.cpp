// The arithmetic of OpenCV's 8-bit resize. With p = (d + 1/2) in / out - 1/2 in f32, i = floor(p)
// and t = p - i, the weights are a0 = rint(2048 (1 - t)) and a1 = rint(2048 t), and
//   h   = (a0 x[i] + a1 x[i + 1]) >> 4                      along a row, 15 bits
//   y   = ((b0 h[j] >> 16) + (b1 h[j + 1] >> 16) + 2) >> 2  between two rows
// Integers throughout, so the order of the work cannot change a byte.
#include "data/images/resize_fixed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace rmt::data {
namespace {

// Where the results [begin, begin + n) of an axis come from: w0 of `first` and w1 of `second`.
struct Places {
  std::vector<int64_t> first, second;
  std::vector<int16_t> w0, w1;
};

// `from` pixels become `to`. Beyond the first and the last pixel an axis goes on with these. Along
// a row their weight is then 2048; between rows the weights stay those of t, and as the two terms
// are cut one by one, the byte may be another.
Places places_of(int64_t from, int64_t to, int64_t begin, int64_t n, bool along_row) {
  const double scale = 1 / (double(to) / double(from));
  Places places;
  for (int64_t d = begin; d < begin + n; ++d) {
    const float p = float((double(d) + 0.5) * scale - 0.5);
    const auto i = int64_t(std::floor(p));
    float t = p - float(i);
    if (along_row && (i < 0 || i >= from - 1)) t = 0;
    places.first.push_back(std::clamp<int64_t>(i, 0, from - 1));
    places.second.push_back(std::clamp<int64_t>(i + 1, 0, from - 1));
    places.w0.push_back(int16_t(std::lrint((1.f - t) * 2048)));
    places.w1.push_back(int16_t(std::lrint(t * 2048)));
  }
  return places;
}

// One row of the source along x: in (W, channels) -> h (results, channels).
template <int kChannels>
void along_row(const uint8_t* in, const Places& at, int64_t channels, int16_t* h) {
  const int64_t c_count = kChannels ? kChannels : channels;
  for (size_t d = 0; d < at.first.size(); ++d) {
    const uint8_t *a = in + at.first[d] * c_count, *b = in + at.second[d] * c_count;
    const int w0 = at.w0[d], w1 = at.w1[d];
    for (int64_t c = 0; c < c_count; ++c) *h++ = int16_t((w0 * a[c] + w1 * b[c]) >> 4);
  }
}

// One row of the result from two rows of h.
void between_rows(const int16_t* h0, const int16_t* h1, int w0, int w1, int64_t n, uint8_t* out) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = uint8_t((((w0 * h0[i]) >> 16) + ((w1 * h1[i]) >> 16) + 2) >> 2);
}

// A picture's bytes, (height, width, channels).
struct Source {
  const uint8_t* bytes;
  int64_t width, height, channels;
};

void check_sizes(const Source& in, int64_t new_width, int64_t new_height) {
  CHECK(in.width > 0 && in.height > 0 && in.channels > 0 && new_width > 0 && new_height > 0,
        "resize_fixed: a size below 1 among ", in.width, " x ", in.height, " x ", in.channels,
        " to ", new_width, " x ", new_height);
  CHECK(std::max(in.width, new_width) <= std::numeric_limits<int32_t>::max() / in.channels,
        "resize_fixed: a row of ", std::max(in.width, new_width), " pixels is too long");
}

void resize_part(const Source& in, int64_t new_width, int64_t new_height, const Crop& window,
                 uint8_t* out) {
  const Places columns = places_of(in.width, new_width, window.x, window.width, true),
               rows = places_of(in.height, new_height, window.y, window.height, false);
  const int64_t n = window.width * in.channels;
  // The two rows of h that were needed last; `held` says of which rows of the source they are.
  std::vector<int16_t> memory(size_t(2 * n));
  int16_t* h[2] = {memory.data(), memory.data() + n};
  int64_t held[2] = {-1, -1};
  const auto row = in.channels == 3 ? along_row<3> : in.channels == 1 ? along_row<1> : along_row<0>;
  auto fill = [&](int which, int64_t y) {
    if (held[which] == y) return;
    row(in.bytes + y * in.width * in.channels, columns, in.channels, h[which]);
    held[which] = y;
  };
  for (int64_t y = 0; y < window.height; ++y) {
    const int64_t first = rows.first[size_t(y)], second = rows.second[size_t(y)];
    if (held[1] == first) {  // the window moves down by one row
      std::swap(h[0], h[1]);
      std::swap(held[0], held[1]);
    }
    fill(0, first);
    if (second != first) fill(1, second);
    between_rows(h[0], second == first ? h[0] : h[1], rows.w0[size_t(y)], rows.w1[size_t(y)], n,
                 out + y * n);
  }
}

}  // namespace

void resize_fixed(const uint8_t* in, int64_t width, int64_t height, int64_t channels,
                  int64_t new_width, int64_t new_height, uint8_t* out) {
  const Source source{in, width, height, channels};
  check_sizes(source, new_width, new_height);
  resize_part(source, new_width, new_height, {0, 0, new_width, new_height}, out);
}

Image resize_fixed(const Image& image, int64_t new_width, int64_t new_height, const Crop& window) {
  const Source source{image.rgb.data(), image.width, image.height, 3};
  check_sizes(source, new_width, new_height);
  CHECK(int64_t(image.rgb.size()) == image.width * image.height * 3,
        "resize_fixed: ", image.rgb.size(), " bytes do not fit ", image.width, " x ", image.height,
        " pixels");
  CHECK(window.x >= 0 && window.y >= 0 && window.width > 0 && window.height > 0 &&
            window.width <= new_width - window.x && window.height <= new_height - window.y,
        "resize_fixed: a window of ", window.width, " x ", window.height, " at (", window.x, ", ",
        window.y, ") does not lie in ", new_width, " x ", new_height);
  Image out{window.width, window.height,
            std::vector<uint8_t>(size_t(window.width * window.height * 3))};
  resize_part(source, new_width, new_height, window, out.rgb.data());
  return out;
}

Image resize_fixed(const Image& image, int64_t new_width, int64_t new_height) {
  return resize_fixed(image, new_width, new_height, {0, 0, new_width, new_height});
}

void resize_nearest_bytes(const uint8_t* in, int64_t width, int64_t height, int64_t new_width,
                          int64_t new_height, uint8_t* out) {
  check_sizes({in, width, height, 1}, new_width, new_height);
  auto source = [](int64_t d, int64_t from, int64_t to) {
    const double scale = 1 / (double(to) / double(from));
    return std::min(int64_t(std::floor(double(d) * scale)), from - 1);
  };
  std::vector<int64_t> columns;
  for (int64_t x = 0; x < new_width; ++x) columns.push_back(source(x, width, new_width));
  int64_t held = -1;  // the source of the row above
  for (int64_t y = 0; y < new_height; ++y, out += new_width) {
    const int64_t from = source(y, height, new_height);
    const uint8_t* row = in + from * width;
    if (from == held)
      std::memcpy(out, out - new_width, size_t(new_width));
    else
      for (int64_t x = 0; x < new_width; ++x) out[x] = row[columns[size_t(x)]];
    held = from;
  }
}

std::array<int64_t, 2> scaled_size(int64_t width, int64_t height, int64_t long_side,
                                   int64_t short_side) {
  CHECK(width > 0 && height > 0 && long_side > 0 && short_side > 0,
        "scaled_size: a size below 1 among ", width, " x ", height, ", ", long_side, ", ",
        short_side);
  const double f = std::min(double(long_side) / double(std::max(width, height)),
                            double(short_side) / double(std::min(width, height)));
  auto scaled = [&](int64_t n) { return std::max<int64_t>(1, int64_t(double(n) * f + 0.5)); };
  return {scaled(width), scaled(height)};
}

}  // namespace rmt::data
