#include "data/images/resize_fixed.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// The picture of tests/golden/cv_resize.py.
std::vector<uint8_t> source(int64_t width, int64_t height, int64_t channels) {
  std::vector<uint8_t> bytes;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t noise = (x * 7919 + y * 104729 + c * 1299709) % 251,
                      block = (x / 3 + y / 5 + c) % 2 * 255;
        bytes.push_back(uint8_t((x + y) % 11 < 6 ? block : noise));
      }
  return bytes;
}
Image source_image(int64_t width, int64_t height) {
  return {width, height, source(width, height, 3)};
}

uint32_t weighted_sum(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += uint32_t(i + 1) * bytes[i];
  return sum;
}

std::string hex(const std::vector<uint8_t>& bytes, size_t most) {
  std::string text;
  for (size_t i = 0; i < std::min(most, bytes.size()); ++i)
    for (int nibble : {bytes[i] >> 4, bytes[i] & 15}) text += "0123456789abcdef"[nibble];
  return text;
}

}  // namespace

TEST(ResizeFixed, EqualsOpenCvToTheByte) {
  std::ifstream golden("tests/golden/cv_resize.txt");
  ASSERT_TRUE(golden) << "run the tests from the project's root";
  int64_t channels, sw, sh, width, height, cases = 0;
  uint32_t sum;
  for (std::string kind, begin;
       golden >> kind >> channels >> sw >> sh >> width >> height >> sum >> begin; ++cases) {
    SCOPED_TRACE(str(kind, " ", channels, ": ", sw, " x ", sh, " to ", width, " x ", height));
    const std::vector<uint8_t> in = source(sw, sh, channels);
    std::vector<uint8_t> out(size_t(width * height * channels));
    if (kind == "linear")
      resize_fixed(in.data(), sw, sh, channels, width, height, out.data());
    else
      resize_nearest_bytes(in.data(), sw, sh, width, height, out.data());
    EXPECT_EQ(hex(out, 24), begin);
    EXPECT_EQ(weighted_sum(out), sum);
  }
  EXPECT_EQ(cases, 4 * 221);
}

TEST(ResizeFixed, AWindowIsAPartOfTheWhole) {
  const Image image = source_image(61, 47);
  for (auto [width, height] : {std::pair<int64_t, int64_t>{80, 170}, {30, 20}, {61, 47}}) {
    const Image whole = resize_fixed(image, width, height);
    for (const Crop& window : {Crop{3, 5, width - 9, height - 7}, Crop{width - 1, height - 1, 1, 1},
                               Crop{0, 0, width, 1}}) {
      const Image part = resize_fixed(image, width, height, window);
      for (int64_t y = 0; y < window.height; ++y)
        for (int64_t i = 0; i < window.width * 3; ++i)
          ASSERT_EQ(part.rgb[size_t(y * window.width * 3 + i)],
                    whole.rgb[size_t(((y + window.y) * width + window.x) * 3 + i)])
              << width << " x " << height;
    }
  }
}

// The published configurations' sizes, by hand: min(L / longer, S / shorter), then rounded.
TEST(ResizeFixed, ScaledSizeKeepsTheShape) {
  using Size = std::array<int64_t, 2>;
  EXPECT_EQ(scaled_size(683, 512, 2048, 512), (Size{683, 512}));
  EXPECT_EQ(scaled_size(640, 480, 1333, 800), (Size{1067, 800}));
  EXPECT_EQ(scaled_size(480, 640, 1333, 800), (Size{800, 1067}));
  EXPECT_EQ(scaled_size(1000, 100, 1333, 800), (Size{1333, 133}));
  EXPECT_EQ(scaled_size(5000, 1, 100, 100), (Size{100, 1}));
}

TEST(ResizeFixed, RefusesSizesThatMakeNoSense) {
  Image image = source_image(10, 10);
  uint8_t byte = 0;
  EXPECT_THROW(resize_fixed(image, 0, 4), Error);
  EXPECT_THROW(resize_fixed(image, 4, 4, {4, 0, 1, 1}), Error);
  EXPECT_THROW(resize_fixed(image, 4, 4, {0, -1, 1, 1}), Error);
  EXPECT_THROW(resize_fixed(&byte, 1, 1, int64_t(1) << 31, 1, 1, &byte), Error);
  EXPECT_THROW(resize_nearest_bytes(&byte, 1, 0, 1, 1, &byte), Error);
  EXPECT_THROW(scaled_size(0, 1, 1, 1), Error);
  image.rgb.pop_back();
  EXPECT_THROW(resize_fixed(image, 4, 4), Error);
}
