// Masks as COCO stores them: run lengths, column by column. (0, 1) mask of H x W pixels, pixel
// (x, y) at place x H + y; counts are the lengths of runs of 0, 1, 0, 1, ..., so that the first may
// be 0. Errors say what is wrong with the mask; who reads a file puts its path in front.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/masks/bitmap.h"

namespace rmt::data {

struct RunLengths {
  int64_t width = 0, height = 0;
  std::vector<uint32_t> counts;  // their sum is width x height

  bool operator==(const RunLengths&) const = default;
};

// Error for a size beyond 16384 pixels a side or 100 Mpx in all, or when the counts do not add up
// to it. What the functions below return has passed, and only its first run may be empty.
void check_mask(const RunLengths& mask);

// `counts` as a list, "counts": [6, 1, 40, ...]: not negative, and they add up.
RunLengths from_counts(const std::vector<int64_t>& counts, int64_t width, int64_t height);

// COCO's string, "counts": "61X1...". From the fourth run on, a run is written as its difference
// from the run two before; a number takes 5 bits a character, the low ones first, bit 5 says that
// more follow, and 48 is added. from_text: Error for other characters than '0' ... 'o', for a
// number that is cut short, and for runs that are negative or do not add up.
std::string to_text(const RunLengths& mask);
RunLengths from_text(std::string_view text, int64_t width, int64_t height);

// The union of polygons {x0, y0, x1, y1, ...} in pixels, (0, 0) the image's upper left corner, by
// COCO's rule (polygons.cpp). What lies outside the image is left out. Error for fewer than 3
// points, an odd number of coordinates, and coordinates beyond 1e8 or not finite.
RunLengths from_polygons(const std::vector<std::vector<double>>& polygons, int64_t width,
                         int64_t height);

Bitmap to_bitmap(const RunLengths& mask);
RunLengths runs_of(const Bitmap& mask);

int64_t area(const RunLengths& mask);  // pixels that are 1
// The smallest {x, y, width, height} that holds all pixels that are 1; zeros where there are none.
std::array<int64_t, 4> box_of(const RunLengths& mask);

// Pixels of any of the masks, or of all. Error for no mask and for unequal sizes.
enum class Merge { kUnion, kIntersection };
RunLengths merge(const std::vector<RunLengths>& masks, Merge how = Merge::kUnion);

// Pixels in both / pixels in either. A crowd is many objects, of which a detection covers one:
// pixels in both / pixels of the detection. 0 where no pixel is in both. Error for unequal sizes.
double iou(const RunLengths& detection, const RunLengths& truth, bool crowd = false);

}  // namespace rmt::data
