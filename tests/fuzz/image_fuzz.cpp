// An image file of any bytes, decoded whole; and its header, which is read without believing it and
// must say the same of a file that decodes.
#include "data/images/header.h"
#include "data/images/image.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;
using namespace rmt::data;

FUZZ(image) {
  const ImageHeader header = image_header({data, data + size});
  Image image;
  if (!fuzz::result_or_error("x.jpg", [&] { image = decode_image(data, size, "x.jpg"); })) return;
  if (image.rgb.size() != size_t(image.width) * size_t(image.height) * 3) std::abort();
  if (header.width != image.width || header.height != image.height) std::abort();
}
