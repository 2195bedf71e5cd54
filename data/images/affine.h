// What RandAugment does to the places of pixels: a picture sheared, turned or moved within its
// frame. Equal to the byte to Pillow's Image.transform(AFFINE) and Image.rotate on x86-64.
#pragma once
#include "data/images/image.h"
#include "data/images/pixel_ops.h"
#include "data/images/resize.h"

namespace rmt::data {

// The result's point (x, y) is the source's point (a x + b y + c, d x + e y + f); points are pixel
// centres, at halves. `fill` where that is outside.
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;
};
void apply_affine(Pixels p, const Affine& m, Resampling resampling, Colour fill);

// The matrices. Shears and translations name what the source's coordinates gain, so the picture
// goes the other way.
Affine shear_x(double factor);             // x + factor y
Affine shear_y(double factor);             // y + factor x
Affine translation(double dx, double dy);  // pixels
// Counterclockwise about the centre.
Affine rotation(double degrees, int64_t width, int64_t height);

}  // namespace rmt::data
