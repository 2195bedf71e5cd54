// PNG files whose pixels are numbers and no colours: maps of labels and masks, as annotation tools
// write them.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rmt::data {

// One number a pixel.
struct GreyImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> values;  // (H, W), row-major
};

// A grey PNG of up to 8 bits -> its values, where fewer than 8 bits are stretched to [0, 255] as
// the format says; a PNG with a palette of up to 8 bits -> the palette's indices, whatever colours
// these have. Error, which begins with `name`, for all that decode_image refuses, and for files
// whose pixels are no numbers below 256: JPEG, colour, alpha, 16 bits.
GreyImage decode_label_png(const uint8_t* bytes, size_t n, const std::string& name);
GreyImage read_label_png(const std::string& path);

// {width, height} by the header alone, 26 bytes. The same Errors where they are seen there.
std::array<int64_t, 2> label_png_size(const std::string& path);

// As grey, 8 bits. Written as one of many in a new folder: write_unsynced().
std::vector<uint8_t> encode_grey_png(const GreyImage& image);
void write_grey_png(const std::string& path, const GreyImage& image);

}  // namespace rmt::data
