#include "data/images/image_grid.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace rmt::data {
namespace {

constexpr int64_t kLeastSide = 160, kFrame = 3, kGap = 8, kMaxPixels = 100'000'000;
constexpr Colour kBackground = {28, 30, 34}, kText = {225, 225, 225};

void fill(Image& image, int64_t x, int64_t y, int64_t width, int64_t height, Colour colour) {
  for (int64_t row = y; row < y + height; ++row)
    for (int64_t column = x; column < x + width; ++column)
      std::copy(colour.begin(), colour.end(), &image.rgb[size_t(row * image.width + column) * 3]);
}

// Each pixel of `image` as scale x scale pixels.
void paste(Image& to, int64_t x, int64_t y, const Image& image, int64_t scale) {
  for (int64_t row = 0; row < image.height; ++row)
    for (int64_t column = 0; column < image.width; ++column) {
      const uint8_t* p = &image.rgb[size_t(row * image.width + column) * 3];
      fill(to, x + column * scale, y + row * scale, scale, scale, {p[0], p[1], p[2]});
    }
}

}  // namespace

std::vector<std::string> wrap_text(const std::string& text, int64_t width, size_t most_lines) {
  const size_t w = size_t(std::max<int64_t>(width, 1));
  std::vector<std::string> lines;
  std::string rest = drawable(text);
  while (!rest.empty() && lines.size() < most_lines) {
    size_t end = std::min(rest.size(), w);
    if (end < rest.size() && rest[end] != ' ')
      if (const size_t space = rest.rfind(' ', end); space != std::string::npos && space > 0)
        end = space;
    lines.push_back(rest.substr(0, end));
    rest.erase(0, std::min(rest.size(), rest.find_first_not_of(' ', end)));
  }
  return lines;
}

Image image_grid(const std::vector<Tile>& tiles, int64_t columns) {
  CHECK(!tiles.empty(), "image_grid: no images");
  const int64_t n = int64_t(tiles.size()), w = tiles[0].image.width, h = tiles[0].image.height;
  for (const Tile& t : tiles)
    CHECK(w > 0 && h > 0 && t.image.width == w && t.image.height == h &&
              int64_t(t.image.rgb.size()) == w * h * 3,
          "image_grid: an image of ", t.image.width, " x ", t.image.height, " pixels and ",
          t.image.rgb.size(), " bytes beside one of ", w, " x ", h);
  if (columns <= 0) columns = int64_t(std::ceil(std::sqrt(double(n))));
  columns = std::min(columns, n);
  const int64_t rows = (n + columns - 1) / columns, scale = (kLeastSide + w - 1) / w;

  std::vector<std::vector<std::string>> captions;
  size_t lines = 0;
  for (const Tile& t : tiles) {
    captions.push_back(wrap_text(t.caption, w * scale / kGlyphWidth, 3));
    lines = std::max(lines, captions.back().size());
  }
  const int64_t tile_width = w * scale + 2 * kFrame + kGap,
                tile_height = h * scale + 2 * kFrame + kGap + int64_t(lines) * kGlyphHeight;
  CHECK(tile_width < kMaxPixels && tile_height < kMaxPixels &&
            columns * tile_width <= kMaxPixels / tile_height / rows,
        "image_grid: ", n, " images of ", w, " x ", h,
        " make a picture of more than 100 million pixels; show fewer");

  Image out{columns * tile_width + kGap, rows * tile_height + kGap, {}};
  out.rgb.resize(size_t(out.width * out.height * 3));
  fill(out, 0, 0, out.width, out.height, kBackground);
  for (int64_t i = 0; i < n; ++i) {
    const Tile& t = tiles[size_t(i)];
    const int64_t x = kGap + i % columns * tile_width, y = kGap + i / columns * tile_height;
    if (t.frame) fill(out, x, y, w * scale + 2 * kFrame, h * scale + 2 * kFrame, *t.frame);
    paste(out, x + kFrame, y + kFrame, t.image, scale);
    int64_t text = y + h * scale + 2 * kFrame + 2;
    for (const std::string& line : captions[size_t(i)]) {
      draw_text(out, x + kFrame, text, line, kText);
      text += kGlyphHeight;
    }
  }
  return out;
}

}  // namespace rmt::data
