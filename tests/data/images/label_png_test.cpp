#include "data/images/label_png.h"

#include <gtest/gtest.h>

#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

struct Golden {
  std::string name;
  int64_t width, height;
  bool refused;
  std::vector<uint8_t> values, file;
};

std::vector<uint8_t> from_hex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::vector<Golden> goldens() {
  std::ifstream in("tests/golden/label_pngs.txt");
  CHECK(in, "run the tests from the project's root");
  std::vector<Golden> all;
  std::string values, file;
  for (Golden g; in >> g.name >> g.width >> g.height >> values >> file; all.push_back(g)) {
    g.refused = values == "-";
    g.values = g.refused ? std::vector<uint8_t>{} : from_hex(values);
    g.file = from_hex(file);
  }
  return all;
}

GreyImage decode(const std::vector<uint8_t>& bytes) {
  return decode_label_png(bytes.data(), bytes.size(), "labels.png");
}

}  // namespace

TEST(LabelPng, GivesNumbersAndNoColours) {
  int cases = 0;
  for (const Golden& g : goldens()) {
    if (g.refused) continue;
    const GreyImage image = decode(g.file);
    EXPECT_EQ(image.width, g.width) << g.name;
    EXPECT_EQ(image.height, g.height) << g.name;
    EXPECT_EQ(image.values, g.values) << g.name;
    ++cases;
  }
  EXPECT_EQ(cases, 10);
}

TEST(LabelPng, SaysWhatAFileIsThatHoldsNoNumbers) {
  const TemporaryFolder folder;
  int cases = 0;
  for (const Golden& g : goldens()) {
    if (!g.refused) continue;
    const std::string what = g.name == "grey16"       ? "a PNG of 16 bits"
                             : g.name == "grey-alpha" ? "a PNG of grey and alpha"
                                                      : "a PNG in colours";
    const std::string path = folder.write("a/labels.png", g.file);
    for (const std::string& error :
         {error_of([&] { read_label_png(path); }), error_of([&] { label_png_size(path); })}) {
      EXPECT_EQ(error.find(path + ": " + what), 0u) << error;
      EXPECT_TRUE(contains(error, "8-bit grey PNG"));
    }
    ++cases;
  }
  EXPECT_EQ(cases, 4);

  const auto jpeg = encode_jpeg(test_image(20, 10), 90);
  EXPECT_TRUE(contains(error_of([&] { decode(jpeg); }), "labels.png: a JPEG"));
  const std::string path = folder.write("b/labels.png", jpeg);
  EXPECT_TRUE(contains(error_of([&] { label_png_size(path); }), "not a PNG"));
  const std::string empty = folder.write("c/labels.png", std::string());
  EXPECT_TRUE(contains(error_of([&] { label_png_size(empty); }), "not a PNG"));
  EXPECT_TRUE(contains(error_of([&] { read_label_png(empty); }), "empty"));
}

TEST(LabelPng, AHeaderTellsTheSize) {
  const TemporaryFolder folder;
  for (const Golden& g : goldens())
    if (!g.refused) {
      EXPECT_EQ(label_png_size(folder.write(g.name, g.file)),
                (std::array<int64_t, 2>{g.width, g.height}));
    }
}

TEST(LabelPng, WhatIsWrittenIsRead) {
  GreyImage image{256, 3, {}};
  for (int i = 0; i < 3 * 256; ++i) image.values.push_back(uint8_t(i * 5));
  EXPECT_EQ(decode(encode_grey_png(image)).values, image.values);
  const TemporaryFolder folder;
  write_grey_png(folder / "x.png", image);
  EXPECT_EQ(read_label_png(folder / "x.png").values, image.values);
  image.values.pop_back();
  EXPECT_TRUE(contains(error_of([&] { encode_grey_png(image); }), "256 x 3 pixels with 767"));
}

// Any bytes that a broken disk leaves give a picture or an Error that names the file.
TEST(LabelPng, DamagedFilesAreErrors) {
  for (const Golden& g : goldens()) {
    for (size_t length = 0; length < g.file.size(); length += 7) {
      const std::vector<uint8_t> cut(g.file.begin(), g.file.begin() + std::ptrdiff_t(length));
      EXPECT_EQ(error_of([&] { decode(cut); }).find("labels.png: "), 0u) << g.name << " " << length;
    }
  }
}
