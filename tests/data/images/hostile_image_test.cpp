// Images made to be accepted though damaged, or to cost far more than their bytes.
#include <atomic>
#include <cstring>
#include <thread>

#include "core/files/crc32.h"
#include "data/images/image.h"
#include "data/images/memory_budget.h"
#include "data/images/structure.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes segment(uint8_t marker, const Bytes& content) {
  const size_t n = content.size() + 2;
  return Bytes{0xFF, marker, uint8_t(n >> 8), uint8_t(n)} + content;
}

struct Sampling {
  uint8_t luma = 0x11;
  int components = 3;
};

Bytes frame(uint8_t marker, int width, int height, Sampling s = {}) {
  Bytes b{8,
          uint8_t(height >> 8),
          uint8_t(height),
          uint8_t(width >> 8),
          uint8_t(width),
          uint8_t(s.components)};
  for (int c = 1; c <= s.components; ++c)
    b = b + Bytes{uint8_t(c), c == 1 ? s.luma : uint8_t(0x11), 0};
  return segment(marker, b);
}

// The header of a scan of these components' coefficients first ... last, and `bytes` of its data.
Bytes scan(const Bytes& components, uint8_t first, uint8_t last, size_t bytes, uint8_t bits = 0) {
  Bytes b{uint8_t(components.size())};
  for (uint8_t c : components) b = b + Bytes{c, 0};
  return segment(0xDA, b + Bytes{first, last, bits}) + Bytes(bytes, 0);
}

const Bytes kBegin{0xFF, 0xD8}, kEnd{0xFF, 0xD9};
constexpr uint8_t kBaseline = 0xC0, kProgressive = 0xC2;

std::string refusal(const Bytes& b) {
  return error_of([&] { outline_of(b.data(), b.size(), "x.jpg"); });
}
Outline outline(const Bytes& b) { return outline_of(b.data(), b.size(), "x.jpg"); }

}  // namespace

// What Pillow refuses, too: libpng compares the same checksums.
TEST(HostileImage, EveryFlippedBitOfAPngIsNoticed) {
  const Bytes png = encode_png(test_image(40, 31));
  const Image whole = decode_image(png.data(), png.size(), "x.png");
  for (size_t bit = 8 * 8; bit < (png.size() - 12) * 8; ++bit) {  // all but signature and IEND
    Bytes b = png;
    b[bit / 8] ^= uint8_t(1 << bit % 8);
    EXPECT_THROW(decode_image(b.data(), b.size(), "x.png"), Error) << "bit " << bit;
  }
  Bytes b = png;
  b[b.size() - 20] ^= 1;
  EXPECT_TRUE(contains(error_of([&] { decode_image(b.data(), b.size(), "x.png"); }),
                       "x.png: the checksum of its image data is wrong"));
}

// A PNG of 200 bytes cannot hold 100 million pixels: deflate makes at most 1032 bytes of one.
TEST(HostileImage, APngHasDataForItsPixels) {
  Bytes png = encode_png(test_image(8, 8));
  for (int i = 0; i < 4; ++i) png[size_t(16 + i)] = png[size_t(20 + i)] = i == 2 ? 0x27 : 0;
  const uint32_t crc = crc32(&png[12], 17);
  for (int i = 0; i < 4; ++i) png[size_t(29 + i)] = uint8_t(crc >> (24 - 8 * i));
  EXPECT_TRUE(contains(refusal(png), "no data for all of its pixels"));  // 9984 x 9984
}

// 16 x 16 pixels in 4:2:0 are 4 + 1 + 1 blocks. A baseline block takes two bits at least, so these
// take 12; the first byte short of what they need is the file's end.
TEST(HostileImage, AScanHasDataForItsBlocks) {
  const Sampling s420{0x22, 3};
  auto baseline = [&](size_t bytes) {
    return kBegin + frame(kBaseline, 160, 160, s420) + scan({1, 2, 3}, 0, 63, bytes) + kEnd;
  };
  EXPECT_EQ(outline(baseline(150)).width, 160);  // 100 units of 12 bits
  EXPECT_TRUE(contains(refusal(baseline(140)), "no data for all of its pixels"));
  // One component alone has no padding to whole units: 17 x 17 pixels are 9 blocks, and not 16.
  EXPECT_NO_THROW(
      outline(kBegin + frame(kBaseline, 17, 17, {0x22, 1}) + scan({1}, 0, 63, 1) + kEnd));
  // The first scan of progressive coefficients takes a bit for each block.
  auto progressive = [&](size_t bytes) {
    return kBegin + frame(kProgressive, 160, 160, s420) + scan({1, 2, 3}, 0, 0, bytes) + kEnd;
  };
  EXPECT_NO_THROW(outline(progressive(75)));
  EXPECT_TRUE(contains(refusal(progressive(60)), "no data for all of its pixels"));
  EXPECT_TRUE(contains(refusal(kBegin + frame(kBaseline, 16, 16) + scan({1, 2}, 0, 63, 9) + kEnd),
                       "lacks a part of its colours"));
  EXPECT_TRUE(contains(refusal(kBegin + frame(kProgressive, 16, 16) + scan({1}, 1, 63, 9) + kEnd),
                       "in disorder"));
}

TEST(HostileImage, ScansTimesBlocksAreBounded) {
  // 4 KB, and 256 scans of 100 megapixels.
  Bytes small = kBegin + frame(kProgressive, 16384, 6103) + scan({1, 2, 3}, 0, 0, 1000);
  for (int i = 0; i < 255; ++i) small = small + scan({1}, 1, 63, 0);
  EXPECT_TRUE(contains(refusal(small + kEnd), "no data for all of its pixels"));
  // With the data that the first scan needs: 4.7 million blocks in it, 1.6 million in each other.
  const Bytes begin =
      kBegin + frame(kProgressive, 16384, 6103) + scan({1, 2, 3}, 0, 0, 2048 * 763 * 3 / 8);
  Bytes others;
  for (int i = 0; i < 39; ++i) others = others + scan({uint8_t(1 + i % 3)}, 1, 63, 0);
  EXPECT_EQ(outline(begin + others + kEnd).height, 6103);
  EXPECT_TRUE(contains(refusal(begin + others + scan({1}, 1, 63, 0) + kEnd),
                       "41 scans in one JPEG of 16384 x 6103 pixels"));
  Bytes baseline = kBegin + frame(kBaseline, 8, 8, {0x11, 1});
  for (int i = 0; i < 4; ++i) baseline = baseline + scan({1}, 0, 63, 1);
  EXPECT_NO_THROW(outline(baseline + kEnd));
  EXPECT_TRUE(contains(refusal(baseline + scan({1}, 0, 63, 1) + kEnd), "5 scans in a baseline"));
}

TEST(MemoryBudget, LargeSharesWaitForEachOtherAndOneAlwaysGoes) {
  MemoryBudget budget(100);
  auto first = std::make_unique<MemoryBudget::Share>(budget, 60);
  { const MemoryBudget::Share small(budget, 40); }
  std::atomic<bool> second = false, third = false;
  std::thread a([&] {
    const MemoryBudget::Share large(budget, 1000);  // more than there is: goes alone
    second = true;
  });
  while (budget.waiting() < 1 && !second) std::this_thread::yield();
  std::thread b([&] {
    const MemoryBudget::Share small(budget, 1);
    third = true;
  });
  while (budget.waiting() < 2 && !second && !third) std::this_thread::yield();
  EXPECT_FALSE(second);
  EXPECT_FALSE(third) << "who comes later does not overtake";
  first.reset();
  a.join();
  b.join();
  EXPECT_TRUE(second && third);
  EXPECT_EQ(budget.waiting(), 0u);
}
