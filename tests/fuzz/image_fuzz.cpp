// An image file of any bytes, decoded whole.
#include "data/images/image.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;
using namespace rmt::data;

FUZZ(image) {
  Image image;
  if (!fuzz::result_or_error("x.jpg", [&] { image = decode_image(data, size, "x.jpg"); })) return;
  if (image.rgb.size() != size_t(image.width) * size_t(image.height) * 3) std::abort();
}
