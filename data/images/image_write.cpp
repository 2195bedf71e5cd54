// Encoding, for the images that the project draws itself.
#include "core/error.h"
#include "core/files/files.h"
#include "data/images/image.h"
#include "data/images/label_png.h"

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace rmt::data {
namespace {

void check_image(const Image& image, const char* who) {
  CHECK(image.width > 0 && image.height > 0 && image.width < 65536 && image.height < 65536 &&
            int64_t(image.rgb.size()) == image.width * image.height * 3,
        who, ": ", image.width, " x ", image.height, " pixels with ", image.rgb.size(),
        " bytes is no image");
}

void append(void* to, void* data, int size) {
  auto* p = static_cast<const uint8_t*>(data);
  static_cast<std::vector<uint8_t>*>(to)->insert(static_cast<std::vector<uint8_t>*>(to)->end(), p,
                                                 p + size);
}

// pixels: (height, width, channels)
std::vector<uint8_t> png_of(int64_t width, int64_t height, int channels,
                            const std::vector<uint8_t>& pixels) {
  CHECK(pixels.size() < size_t(1) << 30, "encode_png: ", width, " x ", height,
        " pixels are too many; at most 2^30 bytes of them");  // stb counts in int
  std::vector<uint8_t> bytes;
  CHECK(stbi_write_png_to_func(append, &bytes, int(width), int(height), channels, pixels.data(),
                               int(width) * channels),
        "encode_png: failed");
  return bytes;
}

}  // namespace

std::vector<uint8_t> encode_jpeg(const Image& image, int quality) {
  check_image(image, "encode_jpeg");
  CHECK(quality >= 1 && quality <= 100, "encode_jpeg: quality ", quality, " is not in [1, 100]");
  std::vector<uint8_t> bytes;
  CHECK(stbi_write_jpg_to_func(append, &bytes, int(image.width), int(image.height), 3,
                               image.rgb.data(), quality),
        "encode_jpeg: failed");
  return bytes;
}

std::vector<uint8_t> encode_png(const Image& image) {
  check_image(image, "encode_png");
  return png_of(image.width, image.height, 3, image.rgb);
}

std::vector<uint8_t> encode_grey_png(const GreyImage& image) {
  CHECK(image.width > 0 && image.height > 0 && image.width < 65536 && image.height < 65536 &&
            int64_t(image.values.size()) == image.width * image.height,
        "encode_grey_png: ", image.width, " x ", image.height, " pixels with ", image.values.size(),
        " bytes is no image");
  return png_of(image.width, image.height, 1, image.values);
}

void write_jpeg(const std::string& path, const Image& image, int quality) {
  const std::vector<uint8_t> bytes = encode_jpeg(image, quality);
  write_unsynced(path, {{bytes.data(), bytes.size()}});
}
void write_grey_png(const std::string& path, const GreyImage& image) {
  const std::vector<uint8_t> bytes = encode_grey_png(image);
  write_unsynced(path, {{bytes.data(), bytes.size()}});
}
void write_png(const std::string& path, const Image& image) {
  const std::vector<uint8_t> bytes = encode_png(image);
  write_file(path, {{bytes.data(), bytes.size()}});
}

}  // namespace rmt::data
