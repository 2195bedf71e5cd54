#include "data/images/font.h"

#include <string_view>

namespace rmt::data {
namespace {

constexpr int kColumns = 5, kRows = 9, kInBand = 8;

// Bands of 8 characters, in the order of ASCII from 32 on; each is nine rows of five dots, a blank
// beside it. Letters stand on the seventh row; what hangs below it, as in gjpqy, takes two more.
const std::string_view kDots[12 * kRows] = {
    // space to '
    "        #    # #   # #    #   ##  #  ##     #",
    "        #    # #   # #   #### ##  # #  #    #",
    "        #         ##### # #      #  # #",
    "        #          # #   ###    #    #",
    "        #         #####   # #  #    # # #",
    "                   # #  ####  #  ## #  #",
    "        #          # #    #   #  ##  ## #",
    "",
    "",
    // ( to /
    "   #   #                                      #",
    "  #     #     #     #                         #",
    " #       #  # # #   #                        #",
    " #       #   ###  #####       #####         #",
    " #       #  # # #   #    ##                #",
    "  #     #     #     #     #          ##   #",
    "   #   #                 #           ##   #",
    "",
    "",
    // 0 to 7
    " ###    #    ###   ###     #  #####   ##  #####",
    "#   #  ##   #   # #   #   ##  #      #        #",
    "#  ##   #       #     #  # #  ####  #        #",
    "# # #   #      #    ##  #  #      # ####    #",
    "##  #   #     #       # #####     # #   #   #",
    "#   #   #    #    #   #    #  #   # #   #  #",
    " ###   ###  #####  ###     #   ###   ###   #",
    "",
    "",
    // 8 to ?
    " ###   ###                 #         #     ###",
    "#   # #   #  ##    ##     #           #   #   #",
    "#   # #   #  ##    ##    #    #####    #      #",
    " ###   ####             #               #    #",
    "#   #     #  ##    ##    #    #####    #    #",
    "#   #    #   ##     #     #           #",
    " ###   ##          #       #         #      #",
    "",
    "",
    // @ to G
    " ###   ###  ####   ###  ###   ##### #####  ###",
    "#   # #   # #   # #   # #  #  #     #     #   #",
    "# ### #   # #   # #     #   # #     #     #",
    "# # # ##### ####  #     #   # ####  ####  # ###",
    "# ### #   # #   # #     #   # #     #     #   #",
    "#     #   # #   # #   # #  #  #     #     #   #",
    " ###  #   # ####   ###  ###   ##### #      ####",
    "",
    "",
    // H to O
    "#   #  ###    ### #   # #     #   # #   #  ###",
    "#   #   #      #  #  #  #     ## ## #   # #   #",
    "#   #   #      #  # #   #     # # # ##  # #   #",
    "#####   #      #  ##    #     # # # # # # #   #",
    "#   #   #      #  # #   #     #   # #  ## #   #",
    "#   #   #   #  #  #  #  #     #   # #   # #   #",
    "#   #  ###   ##   #   # ##### #   # #   #  ###",
    "",
    "",
    // P to W
    "####   ###  ####   #### ##### #   # #   # #   #",
    "#   # #   # #   # #       #   #   # #   # #   #",
    "#   # #   # #   # #       #   #   # #   # #   #",
    "####  #   # ####   ###    #   #   # #   # # # #",
    "#     # # # # #       #   #   #   #  # #  # # #",
    "#     #  #  #  #      #   #   #   #  # #  ## ##",
    "#      ## # #   # ####    #    ###    #   #   #",
    "",
    "",
    // X to _
    "#   # #   # #####  ###  #      ###    #",
    "#   # #   #     #  #    #        #   # #",
    " # #   # #     #   #     #       #  #   #",
    "  #     #     #    #      #      #",
    " # #    #    #     #       #     #",
    "#   #   #   #      #        #    #",
    "#   #   #   #####  ###      #  ###        #####",
    "",
    "",
    // ` to g
    " #          #               #         ##",
    "  #         #               #        #",
    "       ###  ####   ####  ####  ###   #     ####",
    "          # #   # #     #   # #   # ####  #   #",
    "       #### #   # #     #   # #####  #    #   #",
    "      #   # #   # #     #   # #      #    #   #",
    "       #### ####   ####  ####  ###   #     ####",
    "                                              #",
    "                                           ###",
    // h to o
    "#       #      #  #      ##",
    "#                 #       #",
    "####   ##     ##  #  #    #   ## #  ####   ###",
    "#   #   #      #  # #     #   # # # #   # #   #",
    "#   #   #      #  ##      #   # # # #   # #   #",
    "#   #   #      #  # #     #   # # # #   # #   #",
    "#   #  ###     #  #  #   ###  # # # #   #  ###",
    "            #  #",
    "             ##",
    // p to w
    "                         #",
    "                         #",
    "####   #### # ##   #### ####  #   # #   # #   #",
    "#   # #   # ##  # #      #    #   # #   # # # #",
    "#   # #   # #      ###   #    #   # #   # # # #",
    "#   # #   # #         #  #  # #   #  # #  # # #",
    "####   #### #     ####    ##   ####   #    # #",
    "#         #",
    "#         #",
    // x to ~
    "                     ##   #   ##",
    "                    #     #     #",
    "#   # #   # #####   #     #     #    #",
    " # #  #   #    #   #      #      #  # # #",
    "  #   #   #   #     #     #     #      #",
    " # #  #   #  #      #     #     #",
    "#   #  #### #####    ##   #   ##",
    "          #",
    "       ###",
};

bool dot(char c, int column, int row) {
  const int i = c - ' ', at = i % kInBand * (kColumns + 1) + column;
  const std::string_view dots = kDots[i / kInBand * kRows + row];
  return size_t(at) < dots.size() && dots[size_t(at)] == '#';
}

}  // namespace

std::string drawable(const std::string& text) {
  std::string out;
  for (char c : text)
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80)
      out += c >= ' ' && c <= '~' ? c : '?';  // bytes 10xxxxxx continue a character
  return out;
}

void draw_text(Image& image, int64_t x, int64_t y, const std::string& text, Colour colour) {
  for (char c : drawable(text)) {
    for (int row = 0; row < kRows; ++row)
      for (int column = 0; column < kColumns; ++column) {
        const int64_t px = x + column, py = y + row;
        if (!dot(c, column, row) || px < 0 || px >= image.width || py < 0 || py >= image.height)
          continue;
        for (size_t i = 0; i < 3; ++i) image.rgb[size_t(py * image.width + px) * 3 + i] = colour[i];
      }
    x += kGlyphWidth;
  }
}

}  // namespace rmt::data
