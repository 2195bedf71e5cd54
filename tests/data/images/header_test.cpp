#include "data/images/header.h"

#include "tests/data/folder_maker.h"

namespace rmt {

TEST(ImageHeader, TellsKindsByTheirFirstBytes) {
  auto png = [](uint8_t depth, uint8_t color) {
    std::vector<uint8_t> bytes(33);
    bytes[0] = 0x89, bytes[24] = depth, bytes[25] = color;
    return image_header(bytes).kind;
  };
  EXPECT_EQ(png(8, 2), "PNG");
  EXPECT_EQ(png(8, 0), "PNG, grey");
  EXPECT_EQ(png(8, 3), "PNG, palette");
  EXPECT_EQ(png(16, 6), "PNG, alpha, 16 bits");
  auto jpeg_frame = [](uint8_t marker, uint8_t components) {
    return image_header({0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2,          0xFF, 0xFF, marker,
                         0,    17,   8,    0,    1, 0, 1, components, 0,    0,    0})
        .kind;
  };
  EXPECT_EQ(jpeg_frame(0xC0, 3), "JPEG");
  EXPECT_EQ(jpeg_frame(0xC0, 1), "JPEG, grey");
  EXPECT_EQ(jpeg_frame(0xC0, 4), "JPEG, CMYK");
  EXPECT_EQ(jpeg_frame(0xC2, 3), "JPEG, progressive");
  EXPECT_EQ(image_header({0xFF, 0xD8}).kind, "JPEG");
  EXPECT_EQ(image_header({}).kind, "JPEG");
}

TEST(ImageHeader, TellsTheSizeWithoutDecoding) {
  const Image image = test_image(300, 47);
  for (const std::vector<uint8_t>& bytes : {encode_png(image), encode_jpeg(image, 80)}) {
    const ImageHeader header = image_header(bytes);
    EXPECT_EQ(header.width, 300) << header.kind;
    EXPECT_EQ(header.height, 47) << header.kind;
    // Nothing is read beyond the bytes, wherever they end.
    for (size_t n = 0; n < std::min<size_t>(bytes.size(), 200); ++n)
      image_header({bytes.begin(), bytes.begin() + std::ptrdiff_t(n)});
  }
  EXPECT_EQ(image_header({}).width, 0);
}

}  // namespace rmt
