// Which class is taken for which, as a picture: a row for each true class, a column for each
// answer, a cell the brighter the more of the row's images got this answer. A perfect model is a
// bright diagonal; two classes that are taken for each other are two cells across it.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "data/images/image_grid.h"
#include "examples/heat_map.h"
#include "train/confusion.h"

namespace rmt {

constexpr int64_t kMostLabelled = 50;  // classes; more of them get no names and numbers

inline data::Image blank(int64_t width, int64_t height) {
  return {width, height, std::vector<uint8_t>(size_t(width * height * 3), 24)};
}

inline void set_pixel(data::Image& image, int64_t x, int64_t y, const data::Colour& colour) {
  std::copy(colour.begin(), colour.end(), &image.rgb[size_t(y * image.width + x) * 3]);
}

inline data::Colour pixel(const data::Image& image, int64_t x, int64_t y) {
  const uint8_t* p = &image.rgb[size_t(y * image.width + x) * 3];
  return {p[0], p[1], p[2]};
}

// Each pixel as scale x scale pixels.
inline data::Image enlarged(const data::Image& image, int64_t scale) {
  data::Image out = blank(image.width * scale, image.height * scale);
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x)
      set_pixel(out, x, y, pixel(image, x / scale, y / scale));
  return out;
}

// A line of text that is read from below upwards, its first dot at column x and row y.
inline void draw_upwards(data::Image& image, int64_t x, int64_t y, const std::string& text,
                         const data::Colour& colour) {
  data::Image line = blank(int64_t(text.size()) * data::kGlyphWidth, data::kGlyphHeight);
  data::draw_text(line, 0, 0, text, colour);
  for (int64_t row = 0; row < line.height; ++row)
    for (int64_t column = 0; column < line.width; ++column)
      if (y >= column && x + row < image.width)
        set_pixel(image, x + row, y - column, pixel(line, column, row));
}

// Where the cells lie: `cell` pixels each, the first one's corner at (left, top).
struct ConfusionLayout {
  int64_t cell, left, top;
  bool labelled;
};

inline void draw_cells(data::Image& out, const train::Confusion& confusion,
                       const ConfusionLayout& at) {
  const int64_t K = confusion.classes();
  for (int64_t truth = 0; truth < K; ++truth)
    for (int64_t answer = 0; answer < K; ++answer) {
      const int64_t n = confusion.count(truth, answer);
      const double share = double(n) / double(std::max<int64_t>(confusion.images(truth), 1));
      const HeatColour c = heat(share);
      const int64_t x = at.left + answer * at.cell, y = at.top + truth * at.cell,
                    line = at.cell > 2 ? 1 : 0;  // between cells, where there is room
      for (int64_t row = 0; row < at.cell - line; ++row)
        for (int64_t column = 0; column < at.cell - line; ++column)
          set_pixel(
              out, x + column, y + row,
              {uint8_t(std::lround(c[0])), uint8_t(std::lround(c[1])), uint8_t(std::lround(c[2]))});
      if (!at.labelled || n == 0) continue;
      const std::string number = std::to_string(n);
      const data::Colour ink = share > 0.6 ? data::Colour{0, 0, 0} : data::Colour{235, 235, 235};
      data::draw_text(out, x + (at.cell - int64_t(number.size()) * data::kGlyphWidth) / 2,
                      y + (at.cell - 8) / 2, number, ink);
    }
}

// Names and numbers up to kMostLabelled classes, twice as large as the font; of more classes the
// cells alone, so many pixels wide that the picture has about 1000.
inline data::Image confusion_picture(const train::Confusion& confusion,
                                     const train::ClassNames& names) {
  const int64_t K = confusion.classes();
  const data::Colour ink{225, 225, 225};
  ConfusionLayout at{std::max<int64_t>(1, 1000 / K), 0, 0, K <= kMostLabelled};
  if (!at.labelled) {
    data::Image out = blank(K * at.cell, K * at.cell);
    draw_cells(out, confusion, at);
    return out;
  }
  std::vector<std::string> labels;
  size_t longest = 0, digits = 1;
  for (int64_t k = 0; k < K; ++k) {
    const auto lines = data::wrap_text(train::brief_name(names, k), 24, 1);
    labels.push_back(lines.empty() ? "" : lines[0]);
    longest = std::max(longest, labels.back().size());
    for (int64_t answer = 0; answer < K; ++answer)
      digits = std::max(digits, std::to_string(confusion.count(k, answer)).size());
  }
  at.cell = std::max<int64_t>(14, int64_t(digits) * data::kGlyphWidth + 3);
  at.left = at.top = int64_t(longest) * data::kGlyphWidth + 8;
  const std::string key = "rows: true class, columns: answer";
  const int64_t width =
      std::max(at.left + K * at.cell, int64_t(key.size()) * data::kGlyphWidth + 4);
  data::Image out = blank(width + 4, at.top + K * at.cell + 14);
  draw_cells(out, confusion, at);
  for (int64_t k = 0; k < K; ++k) {
    const int64_t middle = k * at.cell + (at.cell - 8) / 2;
    const int64_t begin = at.left - 4 - int64_t(labels[size_t(k)].size()) * data::kGlyphWidth;
    data::draw_text(out, begin, at.top + middle, labels[size_t(k)], ink);
    draw_upwards(out, at.left + middle, at.top - 4, labels[size_t(k)], ink);
  }
  data::draw_text(out, 4, out.height - 10, key, ink);
  return enlarged(out, 2);
}

}  // namespace rmt
