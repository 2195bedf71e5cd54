#include "train/segmentation/overlay.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/images/font.h"

namespace rmt::train {
namespace {

using data::Colour;
using data::Image;
using data::kIgnored;
using data::LabelImage;

constexpr Colour kBackground = {28, 30, 34}, kText = {225, 225, 225};

uint8_t* pixel(Image& image, int64_t x, int64_t y) {
  return &image.rgb[size_t(y * image.width + x) * 3];
}

void check_sizes(const Image& photograph, const LabelImage& labels) {
  CHECK(photograph.width == labels.width && photograph.height == labels.height &&
            photograph.rgb.size() == 3 * labels.labels.size(),
        "overlay: labels of ", labels.width, " x ", labels.height, " pixels over a photograph of ",
        photograph.width, " x ", photograph.height);
}

std::string name_of(int64_t k, const std::vector<std::string>& classes) {
  return k < int64_t(classes.size()) ? classes[size_t(k)] : str("class ", k);
}

struct Entry {
  int64_t k;         // class
  std::string text;  // beside its colour
};

// The picture with a legend below it, in as many columns as its width has room for.
Image with_legend(const Image& picture, const std::vector<Entry>& entries) {
  constexpr int64_t kSwatch = 12, kRow = 14, kEdge = 8;
  size_t longest = 1;
  std::vector<std::string> texts;
  for (const Entry& e : entries) {
    texts.push_back(data::drawable(e.text).substr(0, 40));
    longest = std::max(longest, texts.back().size());
  }
  const int64_t column = kSwatch + 6 + (int64_t(longest) + 2) * data::kGlyphWidth;
  const int64_t width = std::max(picture.width, column + 2 * kEdge),
                columns = std::max<int64_t>(1, (width - 2 * kEdge) / column),
                n = int64_t(entries.size()), rows = (n + columns - 1) / columns;
  Image out{width, picture.height + 2 * kEdge + rows * kRow, {}};
  for (int64_t i = 0; i < out.width * out.height; ++i)
    out.rgb.insert(out.rgb.end(), kBackground.begin(), kBackground.end());
  for (int64_t y = 0; y < picture.height; ++y)
    std::copy_n(picture.rgb.begin() + y * picture.width * 3, picture.width * 3, pixel(out, 0, y));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t x = kEdge + i / rows * column, y = picture.height + kEdge + i % rows * kRow;
    const Colour colour = class_colour(entries[size_t(i)].k);
    for (int64_t row = y; row < y + kSwatch - 2; ++row)
      for (int64_t at = x; at < x + kSwatch; ++at)
        std::copy(colour.begin(), colour.end(), pixel(out, at, row));
    data::draw_text(out, x + kSwatch + 6, y + 1, texts[size_t(i)], kText);
  }
  return out;
}

std::vector<int64_t> pixels_of_classes(const LabelImage& labels) {
  std::vector<int64_t> counts(256);
  for (uint8_t v : labels.labels) ++counts[v];
  counts[kIgnored] = 0;
  return counts;
}

// A class of that name is what is left when the others are taken away: it is shown as it is.
LabelImage without_background(LabelImage labels, const std::vector<std::string>& classes) {
  for (uint8_t& label : labels.labels)
    if (label < classes.size() && classes[label] == "background") label = kIgnored;
  return labels;
}

// Classes with pixels, that with most of them first.
std::vector<int64_t> by_size(const std::vector<int64_t>& counts) {
  std::vector<int64_t> order;
  for (int64_t k = 0; k < int64_t(counts.size()); ++k)
    if (counts[size_t(k)] > 0) order.push_back(k);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return counts[size_t(a)] > counts[size_t(b)]; });
  return order;
}

}  // namespace

Image overlay(const Image& photograph, const LabelImage& labels, double opacity) {
  check_sizes(photograph, labels);
  CHECK(opacity >= 0 && opacity <= 1, "overlay: opacity ", opacity, " is not in [0, 1]");
  Image out = photograph;
  const int64_t W = labels.width, H = labels.height, part = std::lround(256 * opacity);
  for (int64_t y = 0; y < H; ++y)
    for (int64_t x = 0; x < W; ++x) {
      const uint8_t* at = &labels.labels[size_t(y * W + x)];
      if (*at == kIgnored) continue;
      const bool border = (x + 1 < W && at[1] != *at) || (y + 1 < H && at[W] != *at);
      const Colour colour = class_colour(*at);
      uint8_t* p = pixel(out, x, y);
      const int64_t share = border ? 256 : part;
      for (size_t c = 0; c < 3; ++c)
        p[c] = uint8_t((p[c] * (256 - share) + colour[c] * share + 128) >> 8);
    }
  return out;
}

Image prediction_picture(const Image& photograph, const LabelImage& prediction,
                         const std::vector<std::string>& classes) {
  const LabelImage shown = without_background(prediction, classes);
  const std::vector<int64_t> counts = pixels_of_classes(shown);
  std::vector<Entry> entries;
  for (int64_t k : by_size(counts)) {
    const double share = double(counts[size_t(k)]) / double(prediction.labels.size());
    const std::string part = share < 0.01 ? "< 1 %" : str(std::lround(100 * share), " %");
    entries.push_back({k, str(name_of(k, classes), ", ", part)});
  }
  return with_legend(overlay(photograph, shown), entries);
}

}  // namespace rmt::train
