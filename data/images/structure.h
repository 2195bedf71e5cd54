// What an image file says of itself before anything is decoded: the walk through a JPEG's segments
// or a PNG's chunks that refuses what is damaged, cut short, or would cost far more than its bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace rmt::data {

struct Outline {
  bool jpeg = false;  // else PNG
  int64_t width = 0, height = 0;
  int64_t decoder_bytes = 0;  // of memory that stb_image takes at most for each pixel
};

// Error that begins with `name`, for anything but
//  * a JPEG (ITU T.81) whose segments are whole up to its EOI, in which every component has a scan,
//    and each scan at least as many bits as its blocks need. A baseline file has at most 4 scans; a
//    progressive one visits at most 2^26 blocks: three times as many as a photograph of 100
//    megapixels in the usual 10 scans.
//  * a PNG whose chunks are whole up to IEND, each with its CRC, and whose compressed bytes could
//    hold its pixels.
// Both have at most 16384 pixels a side and 100 million in all.
Outline outline_of(const uint8_t* bytes, size_t n, const std::string& name);

}  // namespace rmt::data
