// A label file of any bytes: its numbers, and its size by the header alone, which must be the same.
#include "data/images/label_png.h"
#include "data/segmentation/label_image.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/png_parts.h"

using namespace rmt;
using namespace rmt::data;

FORMAT(label_png, fuzz::png_chunks, fuzz::png_of)

FUZZ(label_png) {
  const fuzz::MemoryFile file(data, size);
  const std::string& path = file.path();
  std::array<int64_t, 2> claimed{};
  const bool header = fuzz::result_or_error(path, [&] { claimed = label_png_size(path); });
  GreyImage image;
  if (!fuzz::result_or_error(path, [&] { image = read_label_png(path); })) return;
  if (!header || claimed[0] != image.width || claimed[1] != image.height) std::abort();
  if (image.values.size() != size_t(image.width) * size_t(image.height)) std::abort();

  LabelImage labels;
  if (!fuzz::result_or_error(path, [&] { labels = read_labels(path, {7, true}); })) return;
  for (uint8_t v : labels.labels)
    if (v >= 7 && v != kIgnored) std::abort();
}
