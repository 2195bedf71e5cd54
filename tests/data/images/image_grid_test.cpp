#include "data/images/image_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/check_op.h"
#include "tests/train/folder.h"

namespace rmt::test {
using namespace data;
namespace {

Image plain(int64_t width, int64_t height, Colour c) {
  Image out{width, height, {}};
  for (int64_t i = 0; i < width * height; ++i) out.rgb.insert(out.rgb.end(), c.begin(), c.end());
  return out;
}
Colour pixel(const Image& image, int64_t x, int64_t y) {
  const uint8_t* p = &image.rgb[size_t(y * image.width + x) * 3];
  return {p[0], p[1], p[2]};
}
std::string drawn(const std::string& text) {
  Image image = plain(kGlyphWidth * int64_t(text.size()), kGlyphHeight - 1, {0, 0, 0});
  draw_text(image, 0, 0, text, {255, 255, 255});
  std::string out;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) out += pixel(image, x, y)[0] ? '#' : '.';
    out += '\n';
  }
  return out;
}

}  // namespace

TEST(Font, DrawsLetters) {
  EXPECT_EQ(drawn("Rmt"),
            "####.........#....\n"
            "#...#........#....\n"
            "#...#.##.#..####..\n"
            "####..#.#.#..#....\n"
            "#.#...#.#.#..#....\n"
            "#..#..#.#.#..#..#.\n"
            "#...#.#.#.#...##..\n"
            "..................\n"
            "..................\n");
}

TEST(Font, SmallLettersHangBelowTheLine) {
  EXPECT_EQ(drawn("Ppgqyj"),
            "####.............................#..\n"
            "#...#...............................\n"
            "#...#.####...####..####.#...#...##..\n"
            "####..#...#.#...#.#...#.#...#....#..\n"
            "#.....#...#.#...#.#...#.#...#....#..\n"
            "#.....#...#.#...#.#...#.#...#....#..\n"
            "#.....####...####..####..####....#..\n"
            "......#.........#.....#.....#.#..#..\n"
            "......#......###......#..###...##...\n");
  EXPECT_NE(drawn("PePPer"), drawn("Pepper"));
}

TEST(Font, EveryCharacterIsThereAndDiffersFromEveryOther) {
  std::set<std::string> shapes;
  for (char c = ' '; c <= '~'; ++c) EXPECT_TRUE(shapes.insert(drawn({c})).second) << c;
  EXPECT_EQ(drawn(" ").find('#'), std::string::npos);
  EXPECT_EQ(drawable("a\n\x7f\tä猫~"), "a?????~") << "one mark for each character of UTF-8";
  for (const std::string text : {"\x01", "\xff", "\xc3\xa4"})
    EXPECT_EQ(drawn(text).substr(0, 5), drawn("?").substr(0, 5));
}

TEST(Font, OutsideTheImageNothingIsWritten) {
  Image image = plain(8, 4, {0, 0, 0});
  for (int64_t at : {-100, -17, 100}) draw_text(image, at, at, "WWW", {255, 255, 255});
  EXPECT_EQ(std::count(image.rgb.begin(), image.rgb.end(), 255), 0);
  draw_text(image, 6, 0, "W", {255, 255, 255});
  EXPECT_EQ(pixel(image, 6, 0), (Colour{255, 255, 255}));
  EXPECT_EQ(pixel(image, 0, 1), (Colour{0, 0, 0})) << "what leaves a row does not enter the next";
  EXPECT_EQ(pixel(image, 2, 1), (Colour{0, 0, 0}));
}

TEST(ImageGrid, TilesLieInRowsWithTheirFrames) {
  const Image red = plain(200, 100, {255, 0, 0}), green = plain(200, 100, {0, 255, 0});
  const Image grid = image_grid({{red, "a", Colour{0, 0, 255}}, {green, "b"}, {red, "c"}}, 2);
  // A tile: 3 + 200 + 3 + 8 wide, 3 + 100 + 3 + 8 + a line of 10 high; 8 around them.
  ASSERT_EQ(grid.width, 2 * 214 + 8);
  ASSERT_EQ(grid.height, 2 * 124 + 8);
  EXPECT_EQ(pixel(grid, 8, 8), (Colour{0, 0, 255}));
  EXPECT_EQ(pixel(grid, 11, 11), (Colour{255, 0, 0}));
  EXPECT_EQ(pixel(grid, 210, 110), (Colour{255, 0, 0}));
  EXPECT_EQ(pixel(grid, 211, 110), (Colour{0, 0, 255}));
  EXPECT_EQ(pixel(grid, 8 + 214, 8), pixel(grid, 0, 0)) << "no frame";
  EXPECT_EQ(pixel(grid, 11 + 214, 11), (Colour{0, 255, 0}));
  EXPECT_EQ(pixel(grid, 11, 11 + 124), (Colour{255, 0, 0}));
  EXPECT_EQ(pixel(grid, 11 + 214, 11 + 124), pixel(grid, 0, 0)) << "no fourth tile";
  EXPECT_EQ(image_grid({{red}, {red}, {red}, {red}, {red}}).width, 3 * 214 + 8)
      << "three beside each other, two below";
}

TEST(ImageGrid, SmallImagesAreEnlarged) {
  Image two = plain(2, 1, {9, 9, 9});
  two.rgb[3] = 200;
  const Image grid = image_grid({{two}});
  EXPECT_EQ(grid.width, 8 + 3 + 160 + 3 + 8);
  EXPECT_EQ(pixel(grid, 11 + 79, 11), (Colour{9, 9, 9}));
  EXPECT_EQ(pixel(grid, 11 + 80, 11 + 79), (Colour{200, 9, 9}));
}

TEST(ImageGrid, CaptionsAreBrokenAtSpacesAndCut) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrap_text("cat not dog 98 %", 20, 3), (Lines{"cat not dog 98 %"}));
  EXPECT_EQ(wrap_text("cat not dog 98 %", 11, 3), (Lines{"cat not dog", "98 %"}));
  EXPECT_EQ(wrap_text("cat not dog 98 %", 10, 3), (Lines{"cat not", "dog 98 %"}));
  EXPECT_EQ(wrap_text("cat not dog 98 %", 3, 3), (Lines{"cat", "not", "dog"}));
  EXPECT_EQ(wrap_text("abcdefgh", 3, 2), (Lines{"abc", "def"}));
  EXPECT_EQ(wrap_text("a  b", 1, 9), (Lines{"a", "b"}));
  EXPECT_EQ(wrap_text("", 5, 3), Lines{});
  EXPECT_EQ(wrap_text("ab", 0, 3), (Lines{"a", "b"}));
  EXPECT_LE(wrap_text(std::string(100'000, ' '), 7, 3).size(), 3u);
}

TEST(ImageGrid, BadInputIsAnError) {
  expect_error([] { image_grid({}); }, {"no images"});
  expect_error([] { image_grid({{plain(2, 2, {})}, {plain(2, 3, {})}}); }, {"2 x 3", "2 x 2"});
  expect_error([] { image_grid({{Image{2, 2, {1, 2, 3}}}}); }, {"3 bytes"});
  expect_error([] { image_grid(std::vector<Tile>(4000, {plain(160, 160, {})})); },
               {"4000 images", "100 million"});
}

TEST(Png, PixelsComeBackAsTheyWentIn) {
  Image image = plain(31, 17, {});
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = uint8_t(i * i % 251);
  const std::vector<uint8_t> bytes = encode_png(image);
  const Image back = decode_image(bytes.data(), bytes.size(), "png");
  EXPECT_EQ(back.width, 31);
  EXPECT_EQ(back.rgb, image.rgb);
  TemporaryFolder folder;
  write_png(folder / "a.png", image);
  EXPECT_EQ(read_image(folder / "a.png").rgb, image.rgb);
  expect_error([&] { write_png(folder / "none/a.png", image); },
               {folder / "none/a.png", "No such file"});
  expect_error([] { encode_png(Image{2, 2, {}}); }, {"encode_png", "2 x 2"});
}

}  // namespace rmt::test
