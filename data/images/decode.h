// stb_image within its budget of memory: what image.cpp and label_png.cpp share, for this folder.
#pragma once
#include <functional>

#include "data/images/structure.h"

namespace rmt::data {

// Error for a file of more than kMaxImageFile bytes.
void check_file_size(size_t bytes, const std::string& name);

// Decodes a file that outline_of() has walked through to `channels` bytes a pixel, and hands these,
// (H, W, channels), to `use`; they are gone afterwards. Error that begins with `name`, which is
// printable.
void decode_pixels(const uint8_t* bytes, size_t n, const Outline& outline, int channels,
                   const std::string& name, const std::function<void(const uint8_t*)>& use);

}  // namespace rmt::data
