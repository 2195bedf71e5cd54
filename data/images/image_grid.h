// Many pictures as one, with captions: what the network sees of a batch, or where it errs most.
#pragma once
#include <optional>
#include <vector>

#include "data/images/font.h"

namespace rmt::data {

struct Tile {
  Image image;
  std::string caption = "";
  std::optional<Colour> frame = {};
};

// Rows of tiles from the left to the right, `columns` in each (0: about as many as rows). All
// images have one size; small ones are shown enlarged by a whole number, so that a side has 160
// pixels or more. A caption is broken at spaces into at most three lines of the image's width, and
// then cut. Error for no tile, for unequal sizes, and for a picture beyond 100 million pixels.
Image image_grid(const std::vector<Tile>& tiles, int64_t columns = 0);

// The caption's lines of at most `width` characters.
std::vector<std::string> wrap_text(const std::string& text, int64_t width, size_t most_lines);

}  // namespace rmt::data
