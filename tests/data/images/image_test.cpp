#include "data/images/image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "core/files/crc32.h"
#include "core/random.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

struct Golden {
  std::string name;
  int64_t width, height;
  int rgb[3];  // at the centre
  std::vector<uint8_t> bytes;
};

std::vector<Golden> goldens() {
  std::ifstream in("tests/golden/pil_images.txt");
  CHECK(in, "run the tests from the project's root");
  std::vector<Golden> all;
  std::string hex;
  for (Golden g; in >> g.name >> g.width >> g.height >> g.rgb[0] >> g.rgb[1] >> g.rgb[2] >> hex;
       all.push_back(g)) {
    g.bytes.clear();
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
      g.bytes.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return all;
}

std::vector<uint8_t> golden_bytes(const std::string& name) {
  for (Golden& g : goldens())
    if (g.name == name) return g.bytes;
  throw Error("no golden file " + name);
}

Image decode(const std::vector<uint8_t>& bytes) {
  return decode_image(bytes.data(), bytes.size(), "x.jpg");
}

void put_big_endian(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[at + i] = uint8_t(value >> (24 - 8 * i));
}

// A PNG with another height, its header's checksum made right.
void set_height(std::vector<uint8_t>& png, uint32_t height) {
  put_big_endian(png, 20, height);
  put_big_endian(png, 29, crc32(&png[12], 17));
}

}  // namespace

TEST(Image, ReadsEveryKindThatCamerasAndEditorsWrite) {
  std::vector<Golden> all = goldens();
  EXPECT_EQ(all.size(), 15u);
  for (const Golden& g : all) {
    Image image = decode(g.bytes);
    ASSERT_EQ(image.width, g.width) << g.name;
    ASSERT_EQ(image.height, g.height) << g.name;
    ASSERT_EQ(image.rgb.size(), size_t(g.width * g.height * 3)) << g.name;
    const uint8_t* p = &image.rgb[size_t((g.height / 2 * g.width + g.width / 2) * 3)];
    int slack = g.name.starts_with("png") ? 0 : g.name == "jpeg-420" ? 20 : 6;
    for (int c = 0; c < 3; ++c) EXPECT_NEAR(p[c], g.rgb[c], slack) << g.name << ", channel " << c;
  }
}

TEST(Image, JpegRoundTrip) {
  Image image = test_image(40, 31);
  Image back = decode(encode_jpeg(image, 95));
  ASSERT_EQ(back.rgb.size(), image.rgb.size());
  double error = 0;
  for (size_t i = 0; i < image.rgb.size(); ++i)
    error += std::abs(int(image.rgb[i]) - int(back.rgb[i]));
  EXPECT_LT(error / double(image.rgb.size()), 3);
}

TEST(Image, RefusesEveryTruncation) {
  for (const Golden& g : goldens())
    for (size_t n = 0; n < g.bytes.size(); ++n) {
      std::vector<uint8_t> cut(g.bytes.begin(), g.bytes.begin() + std::ptrdiff_t(n));
      std::string message = error_of([&] { decode(cut); });
      ASSERT_TRUE(contains(message, "x.jpg: ")) << g.name << " cut to " << n;
      ASSERT_TRUE(n < 8 || contains(message, "cut short"))
          << g.name << " cut to " << n << " of " << g.bytes.size();
    }
}

TEST(Image, IgnoresWhatFollowsTheEnd) {
  for (const char* name : {"jpeg-rgb", "jpeg-progressive", "png-rgb"}) {
    std::vector<uint8_t> bytes = golden_bytes(name);
    Image image = decode(bytes);
    bytes.insert(bytes.end(), {0, 1, 2, 0xFF, 0xD8, 3});
    EXPECT_EQ(decode(bytes).rgb, image.rgb) << name;
  }
}

TEST(Image, NamesTheFileTheFaultAndTheRemedy) {
  TemporaryFolder folder;
  auto message = [&](const std::string& path) {
    std::string text = error_of([&] { read_image(path); });
    EXPECT_TRUE(contains(text, path));
    return text;
  };
  EXPECT_TRUE(contains(message(folder / "missing.jpg"), "cannot open: No such file"));
  EXPECT_TRUE(contains(message(folder.path()), "not a regular file"));
  EXPECT_TRUE(contains(message(folder.write("empty.jpg", "")), "empty (0 bytes)"));
  EXPECT_TRUE(contains(message(folder.write("text.jpg", "this is a text")),
                       "no image, neither JPEG nor PNG"));
  EXPECT_TRUE(contains(message(folder.write("gif.jpg", "GIF89a....")), "a GIF image"));
  ASSERT_EQ(::mkfifo((folder / "pipe.jpg").c_str(), 0600), 0);
  EXPECT_TRUE(contains(message(folder / "pipe.jpg"), "not a regular file"));
  std::filesystem::resize_file(folder.write("big.jpg", "\xFF\xD8"), (uint64_t(64) << 20) + 1);
  EXPECT_TRUE(contains(message(folder / "big.jpg"), "more than the 64 MiB"));
}

TEST(Image, RefusesHugeClaims) {
  std::vector<uint8_t> png = golden_bytes("png-rgb");
  put_big_endian(png, 16, 60000), put_big_endian(png, 20, 60000);
  EXPECT_TRUE(contains(error_of([&] { decode(png); }), "60000 x 60000 pixels"));
  put_big_endian(png, 16, 16000),
      put_big_endian(png, 20, 16000);  // each side would do, both together not
  EXPECT_TRUE(contains(error_of([&] { decode(png); }), "100 million"));
  put_big_endian(png, 16, 0);
  EXPECT_TRUE(contains(error_of([&] { decode(png); }), "0 x 16000"));
  std::vector<uint8_t> jpeg = golden_bytes("jpeg-rgb");
  size_t frame = 0;
  while (!(jpeg[frame] == 0xFF && jpeg[frame + 1] == 0xC0)) ++frame;
  jpeg[frame + 5] = jpeg[frame + 7] = 0xEA;
  EXPECT_TRUE(contains(error_of([&] { decode(jpeg); }), "pixels, more than"));
}

// 16 x 255 symbols in one table, all there: stb_image before 2.28 writes them past its arrays.
TEST(Image, RefusesHuffmanTablesThatAreTooLarge) {
  std::vector<uint8_t> jpeg = {0xFF, 0xD8, 0xFF, 0xC4, 0, 0, 0};
  jpeg.insert(jpeg.end(), 16, 255);
  jpeg.insert(jpeg.end(), 16 * 255, 0);
  jpeg[4] = uint8_t((jpeg.size() - 4) >> 8), jpeg[5] = uint8_t(jpeg.size() - 4);
  std::vector<uint8_t> whole = golden_bytes("jpeg-rgb");
  jpeg.insert(jpeg.end(), whole.begin() + 2, whole.end());
  EXPECT_TRUE(contains(error_of([&] { decode(jpeg); }), "broken Huffman table"));
}

TEST(Image, AHeaderThatPromisesMoreThanTheDataHoldIsAnError) {
  std::vector<uint8_t> png = golden_bytes("png-rgb");
  set_height(png, 100);
  EXPECT_TRUE(contains(error_of([&] { decode(png); }), "cannot be decoded"));
  set_height(png, 16000);  // before any memory is taken for them
  EXPECT_TRUE(contains(error_of([&] { decode(png); }), "no data for all of its pixels"));
}

// Neither a crash nor a leak nor anything but Error, whatever the bytes; what decodes has the size
// that it says. SAN=1 makes this the strictest.
TEST(Image, SurvivesDamage) {
  int64_t decoded = 0, refused = 0;
  for (const Golden& g : goldens())
    for (uint64_t trial = 0; trial < 200; ++trial) {
      Random random(7, Purpose::test, trial, g.bytes.size());
      std::vector<uint8_t> bytes = g.bytes;
      for (int64_t i = 0, n = 1 + random.below(6); i < n; ++i)
        bytes[size_t(random.below(int64_t(bytes.size())))] = uint8_t(random.bits());
      try {
        Image image = decode(bytes);
        ASSERT_EQ(image.rgb.size(), size_t(image.width * image.height * 3));
        ++decoded;
      } catch (const Error& e) {
        ASSERT_TRUE(contains(e.what(), "x.jpg: "));
        ++refused;
      }
    }
  EXPECT_GT(decoded, 100);
  EXPECT_GT(refused, 100);
}

TEST(Image, AllOfTheImageNetSampleLoads) {
  const std::string root = "../shared/data/imagenet-sample/val";
  if (!std::filesystem::is_directory(root))
    GTEST_SKIP() << "no folder " << root << ": nothing to read";
  int64_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    if (entry.is_regular_file()) {
      Image image = read_image(entry.path().string());
      EXPECT_GT(image.width, 16);
      ++count;
    }
  EXPECT_EQ(count, 200);
}

TEST(Image, WritingNamesTheFileThatCannotBeMade) {
  EXPECT_TRUE(
      contains(error_of([] { write_jpeg("/nonexistent-folder/x.jpg", test_image(8, 8), 90); }),
               "/nonexistent-folder/x.jpg: cannot write"));
  EXPECT_TRUE(contains(error_of([] { encode_jpeg({8, 8, {}}, 90); }), "8 x 8"));
  EXPECT_TRUE(contains(error_of([] { encode_jpeg(test_image(8, 8), 0); }), "quality 0"));
}

// Of all widths around those that SIMD takes at once, each pixel near what was encoded: none lost,
// none doubled, none in another's place.
TEST(Image, EveryPixelOfAJpegIsInItsPlace) {
  for (int64_t width = 1; width <= 21; ++width)
    for (int64_t height : {1, 3}) {
      Image image{width, height, {}};
      for (int64_t i = 0; i < width * height; ++i)
        for (int64_t v : {40 + 8 * (i % width), 200 - 8 * (i % width), 60 + 40 * (i / width)})
          image.rgb.push_back(uint8_t(v));
      const std::vector<uint8_t> jpeg = encode_jpeg(image, 100);
      const Image got = decode_image(jpeg.data(), jpeg.size(), "jpeg");
      ASSERT_EQ(got.rgb.size(), image.rgb.size());
      for (size_t i = 0; i < got.rgb.size(); ++i)
        ASSERT_NEAR(got.rgb[i], image.rgb[i], 3) << width << " x " << height << " at " << i;
    }
}
