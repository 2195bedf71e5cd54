// A mask of any bytes: width, height, how it is written, and then COCO's string, a list of counts,
// or the corners of a polygon.
#include <cstring>

#include "data/masks/run_lengths.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;
using namespace rmt::data;

namespace {

template <class T>
std::vector<T> numbers(const uint8_t* data, size_t size) {
  std::vector<T> out(size / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), data, out.size() * sizeof(T));
  return out;
}

// What a mask is asked for holds for every mask.
void ask(const RunLengths& mask) {
  check_mask(mask);
  const std::array<int64_t, 4> box = box_of(mask);
  if (area(mask) > box[2] * box[3] || box[0] + box[2] > mask.width ||
      box[1] + box[3] > mask.height || from_text(to_text(mask), mask.width, mask.height) != mask ||
      merge({mask, mask}) != mask || iou(mask, mask) != (area(mask) ? 1 : 0))
    std::abort();
  if (mask.width * mask.height < 100'000 && runs_of(to_bitmap(mask)) != mask) std::abort();
}

}  // namespace

FUZZ(masks) {
  if (size < 5) return;
  uint16_t sides[2];
  std::memcpy(sides, data, 4);
  const int64_t width = sides[0], height = sides[1];
  const uint8_t* rest = data + 5;
  const size_t n = size - 5;
  fuzz::result_or_error("", [&] {
    if (data[4] % 3 == 0)
      ask(from_text({reinterpret_cast<const char*>(rest), n}, width, height));
    else if (data[4] % 3 == 1)
      ask(from_counts(numbers<int64_t>(rest, n), width, height));
    else
      ask(from_polygons({numbers<double>(rest, std::min<size_t>(n, 800))}, width, height));
  });
}
