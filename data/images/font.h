// A font of 5 x 7 dots, and 2 below the line, for captions in pictures: printable ASCII, drawn in
// font.cpp as one sees it.
#pragma once
#include <string>

#include "data/images/image.h"

namespace rmt::data {

// Pixels of a character with the space to its neighbours.
constexpr int64_t kGlyphWidth = 6, kGlyphHeight = 10;

// Draws a line of text, its first dot at column x and row y; what lies outside the image is left
// out. A character of UTF-8 that is not printable ASCII becomes one '?'.
void draw_text(Image& image, int64_t x, int64_t y, const std::string& text, Colour colour);

// The text as it is drawn: one printable character of ASCII for each of its characters.
std::string drawable(const std::string& text);

}  // namespace rmt::data
