#include "train/detection/paste.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/masks/runs.h"

namespace rmt::train {
namespace {

// One axis of the box and of the mask over it.
struct Axis {
  double from, length;
  int64_t cells;

  // The pixels with their middles in the box. Beyond it the zeros outside the mask have more than
  // half of the weight, so that only a threshold below one half is reached there, up to half a cell
  // away.
  double beyond(double threshold) const { return threshold < .5 ? length / double(2 * cells) : 0; }
  int64_t begin(int64_t most, double threshold) const {
    return clamped(std::ceil(from - beyond(threshold) - .5), most);
  }
  int64_t end(int64_t most, double threshold) const {
    return clamped(std::floor(from + length + beyond(threshold) - .5) + 1, most);
  }
  static int64_t clamped(double x, int64_t most) {
    return int64_t(std::clamp(x, 0., double(most)));
  }

  // The middle of a pixel lies between the middles of `cell` and of the next one, whose share is t;
  // cells -1 and `cells` are the zeros outside.
  struct Between {
    int64_t cell;
    double t;
  };
  Between between(int64_t pixel) const {
    const double u = (double(pixel) + .5 - from) / length * double(cells) - .5;
    const double cell = std::clamp(std::floor(u), -1., double(cells - 1));
    return {int64_t(cell), u - cell};
  }
};

}  // namespace

data::RunLengths paste_mask(const std::vector<float>& mask, const CocoBox& box, int64_t width,
                            int64_t height, double threshold) {
  const int64_t S = int64_t(std::lround(std::sqrt(double(mask.size()))));
  CHECK(S > 0 && S * S == int64_t(mask.size()), "paste_mask: a mask of ", mask.size(),
        " numbers is no square");
  data::check_mask_size(width, height);
  data::RunWriter runs(width, height);
  bool area = box[2] > 0 && box[3] > 0;
  for (const double x : box) area = area && std::isfinite(x);
  const Axis columns{area ? box[0] : 0, area ? box[2] : 0, S}, rows{box[1], box[3], S};
  const int64_t begin = area ? rows.begin(height, threshold) : 0,
                end = area ? rows.end(height, threshold) : 0;

  const auto at = [&](int64_t row, int64_t column) {
    return column >= 0 && column < S ? double(mask[size_t(row * S + column)]) : 0;
  };
  std::vector<double> line(size_t(S) + 2);  // along a column of pixels, with a 0 at each end
  for (int64_t x = columns.begin(width, threshold); x < columns.end(width, threshold) && area;
       ++x) {
    const auto [left, t] = columns.between(x);
    for (int64_t row = 0; row < S; ++row)
      line[size_t(row + 1)] = (1 - t) * at(row, left) + t * at(row, left + 1);
    runs.zeros_until(x * height + begin);
    for (int64_t y = begin; y < end; ++y) {
      const auto [above, s] = rows.between(y);
      runs.add((1 - s) * line[size_t(above + 1)] + s * line[size_t(above + 2)] >= threshold, 1);
    }
  }
  runs.zeros_until(width * height);
  return runs.finish();
}

}  // namespace rmt::train
