// COCO's instances json of any bytes, whose masks are then made as far as images are small. Changed
// by entries: texts between braces.
#include "data/detection/coco_json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// Each opening brace begins a part.
fuzz::Parts split(const std::string& bytes) {
  fuzz::Parts parts;
  for (const char c : bytes) {
    if (parts.empty() || c == '{') parts.emplace_back();
    parts.back() += c;
  }
  return parts;
}

}  // namespace

FORMAT(coco_json, split, fuzz::concatenated)

FUZZ(coco_json) {
  const std::string text(data, data + size);
  const fuzz::MemoryFile file(text);
  CocoJson coco;
  if (!fuzz::result_or_error(file.path(), [&] { coco = read_coco_json(file.path()); })) return;
  coco.remarks();
  size_t placed = 0;
  for (size_t i = 0; i < coco.images.size(); ++i) {
    for (const uint32_t at : coco.of_image(int64_t(i)))
      if (coco.annotations[at].image != int64_t(i)) std::abort();
    placed += coco.of_image(int64_t(i)).size();
  }
  if (placed != coco.annotations.size()) std::abort();
  for (const CocoAnnotation& a : coco.annotations) {
    const CocoImage& image = coco.images[size_t(a.image)];
    if (!coco.has_mask(a) || image.width * image.height > 1 << 16) continue;
    const RunLengths mask = coco.mask(a);  // whatever was read can be made
    check_mask(mask);
  }
}
