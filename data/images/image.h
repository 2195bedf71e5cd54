// Pictures in memory, and the only place where bytes from outside become pixels (and back).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rmt::data {

constexpr size_t kMaxImageFile = size_t(64) << 20;  // bytes of one image file

using Colour = std::array<uint8_t, 3>;  // red, green, blue

struct Image {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // (H, W, 3), row-major
};

// JPEG or PNG bytes -> 8-bit RGB. Grey is copied to three channels, 16 bits are cut to 8, alpha is
// dropped, CMYK is converted. Throws Error, which begins with `name`, for anything else: no image,
// a file that ends too early, a broken stream, more than 16384 pixels a side or 100 Mpx in all.
Image decode_image(const uint8_t* bytes, size_t n, const std::string& name);
Image read_image(const std::string& path);  // the same from a regular file of at most 64 MiB

// Baseline JPEG, quality 1 ... 100. Written as one of many in a new folder: write_unsynced().
std::vector<uint8_t> encode_jpeg(const Image& image, int quality);
void write_jpeg(const std::string& path, const Image& image, int quality);

// PNG: the pixels come back as they went in. Written by write_file(): whole or not at all.
std::vector<uint8_t> encode_png(const Image& image);
void write_png(const std::string& path, const Image& image);

}  // namespace rmt::data
