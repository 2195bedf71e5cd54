// What RandAugment and ColorJitter do to the colours of a picture, each pixel staying where it is.
// All equal Pillow's ImageOps and ImageEnhance to the byte.
#pragma once
#include <cstdint>

namespace rmt::data {

// A picture that belongs to somebody else: (H, W, 3) bytes, changed in place.
struct Pixels {
  uint8_t* rgb;
  int64_t width, height;
};

// Through a table of 256 results a channel.
void autocontrast(Pixels p);               // the channel's least value becomes 0, its greatest 255
void equalize(Pixels p);                   // values spread so that each is about equally frequent
void invert(Pixels p);                     // 255 - v
void posterize(Pixels p, int bits);        // the upper `bits` bits of v; black for bits <= 0
void solarize(Pixels p, int threshold);    // v below the threshold, else 255 - v
void solarize_add(Pixels p, int amount);   // min(v + amount, 255) below 128, else v
void brightness(Pixels p, double factor);  // blend from black
void contrast(Pixels p, double factor);    // blend from the picture's mean grey

// Blends need the picture that they start from: degenerate + factor (v - degenerate), so 1 changes
// nothing and above 1 exaggerates.
void saturation(Pixels p, double factor);  // from the grey picture (Pillow's Color)
void sharpness(Pixels p, double factor);   // from the smoothed picture

void mirror(Pixels p);  // each row the other way round: here a pixel does move

}  // namespace rmt::data
