#include "data/images/resize.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "core/random.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// The picture that tests/golden/pil_resize.py makes.
Image formula_image(int64_t width, int64_t height) {
  Image image{width, height, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c) {
        int64_t noise = (x * 7919 + y * 104729 + c * 1299709) % 251,
                block = (x / 3 + y / 5 + c) % 2 * 255;
        image.rgb.push_back(uint8_t((x + y) % 11 < 6 ? block : noise));
      }
  return image;
}

std::vector<uint8_t> from_hex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

}  // namespace

TEST(Resize, EqualsPillowToTheByte) {
  std::ifstream golden("tests/golden/pil_resize.txt");
  ASSERT_TRUE(golden) << "run the tests from the project's root";
  int64_t sw, sh, width, height, cases = 0;
  Crop box;
  for (std::string filter, hex; golden >> filter >> sw >> sh >> box.x >> box.y >> box.width >>
                                box.height >> width >> height >> hex;
       ++cases) {
    Image got{width, height, std::vector<uint8_t>(size_t(width * height * 3))};
    resize(formula_image(sw, sh), box, width, height, {0, 0, width, height}, got.rgb.data(),
           filter == "bilinear" ? Resampling::bilinear : Resampling::bicubic);
    std::vector<uint8_t> want = from_hex(hex);
    ASSERT_EQ(got.rgb.size(), want.size());
    EXPECT_TRUE(got.rgb == want) << filter << " " << sw << " x " << sh << " to " << width << " x "
                                 << height;
  }
  EXPECT_EQ(cases, 2 * 17);
}

TEST(Resize, PixelsOutsideTheCropDoNotMatter) {
  Image a = formula_image(30, 20), b = a;
  const Crop box{7, 3, 11, 9};
  for (int64_t y = 0; y < b.height; ++y)
    for (int64_t x = 0; x < b.width; ++x)
      if (x < box.x || y < box.y || x >= box.x + box.width || y >= box.y + box.height)
        for (int64_t c = 0; c < 3; ++c) b.rgb[size_t((y * b.width + x) * 3 + c)] ^= 0xFF;
  EXPECT_EQ(resize(a, box, 16, 16).rgb, resize(b, box, 16, 16).rgb);
  EXPECT_EQ(resize(a, box, 5, 4).rgb, resize(b, box, 5, 4).rgb);
}

TEST(Resize, AWindowIsAPartOfTheWhole) {
  Image image = formula_image(61, 47);
  for (auto [width, height] : {std::pair<int64_t, int64_t>{80, 70}, {30, 20}, {61, 47}, {61, 20}}) {
    Image whole = resize(image, {0, 0, 61, 47}, width, height);
    Crop window{3, 5, width - 9, height - 7};
    std::vector<uint8_t> part(size_t(window.width * window.height * 3));
    resize(image, {0, 0, 61, 47}, width, height, window, part.data());
    for (int64_t y = 0; y < window.height; ++y)
      for (int64_t i = 0; i < window.width * 3; ++i)
        ASSERT_EQ(part[size_t(y * window.width * 3 + i)],
                  whole.rgb[size_t(((y + window.y) * width + window.x) * 3 + i)])
            << width << " x " << height;
  }
}

TEST(Resize, ConstantStaysConstant) {
  Image image{37, 29, std::vector<uint8_t>(37 * 29 * 3, 201)};
  for (auto [width, height] : {std::pair<int64_t, int64_t>{224, 224}, {1, 1}, {7, 90}, {36, 28}})
    for (uint8_t v : resize(image, {0, 0, 37, 29}, width, height).rgb) ASSERT_EQ(v, 201);
}

TEST(Resize, RefusesRectanglesThatDoNotFit) {
  Image image = formula_image(10, 10);
  uint8_t out[3];
  EXPECT_THROW(resize(image, {5, 5, 6, 5}, 4, 4), Error);
  EXPECT_THROW(resize(image, {-1, 0, 5, 5}, 4, 4), Error);
  EXPECT_THROW(resize(image, {0, 0, 0, 5}, 4, 4), Error);
  EXPECT_THROW(resize(image, {0, 0, 5, 5}, 0, 4), Error);
  EXPECT_THROW(resize(image, {0, 0, 5, 5}, 4, 4, {4, 0, 1, 1}, out), Error);
  image.rgb.pop_back();
  EXPECT_THROW(resize(image, {0, 0, 5, 5}, 4, 4), Error);
}
