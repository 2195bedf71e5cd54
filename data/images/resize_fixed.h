// Resizing without antialiasing, equal to the byte to OpenCV's cv2.resize of 8-bit images, which
// the published models of segmentation and detection were trained with. A result's pixel is a mean
// of the four source pixels around its place, also where the picture becomes smaller.
#pragma once
#include <array>

#include "data/images/image.h"
#include "data/images/resize.h"

namespace rmt::data {

// in (height, width, channels) -> out (new_height, new_width, channels), both row-major. Equals
// INTER_LINEAR for 1, 3 and 4 channels (pictures of 2 it halves by another formula). Error for a
// size below 1, or for more than 2^31 numbers in a row.
void resize_fixed(const uint8_t* in, int64_t width, int64_t height, int64_t channels,
                  int64_t new_width, int64_t new_height, uint8_t* out);
Image resize_fixed(const Image& image, int64_t new_width, int64_t new_height);
// The part `window` of that result alone; Error where it reaches beyond the result.
Image resize_fixed(const Image& image, int64_t new_width, int64_t new_height, const Crop& window);

// in (height, width) -> out (new_height, new_width): pixel d of an axis is source pixel
// floor(d in / out), so nothing is mixed: for labels and masks. Equals INTER_NEAREST.
void resize_nearest_bytes(const uint8_t* in, int64_t width, int64_t height, int64_t new_width,
                          int64_t new_height, uint8_t* out);

// The largest size {width, height} of the same shape whose longer side is at most `long_side` and
// whose shorter one is at most `short_side`, rounded to pixels, at least 1.
std::array<int64_t, 2> scaled_size(int64_t width, int64_t height, int64_t long_side,
                                   int64_t short_side);

}  // namespace rmt::data
