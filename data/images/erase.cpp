#include "data/images/erase.h"

#include <cmath>

namespace rmt::data {

std::optional<Erasing> draw_erasing(const RandomErasing& e, int64_t width, int64_t height,
                                    Random& random) {
  if (random.uniform() >= e.probability) return std::nullopt;
  const double area = double(width) * double(height), log_min = std::log(e.aspect_min),
               log_max = std::log(e.aspect_max);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random.uniform(e.area_min, e.area_max),
                 aspect = std::exp(random.uniform(log_min, log_max));
    const int64_t h = int64_t(std::nearbyint(std::sqrt(target * aspect))),
                  w = int64_t(std::nearbyint(std::sqrt(target / aspect)));
    if (h >= height || w >= width) continue;
    const int64_t y = random.below(height - h + 1), x = random.below(width - w + 1);
    const uint64_t first = random.bits(), second = random.bits();
    return Erasing{{x, y, w, h}, first << 32 | second};
  }
  return std::nullopt;
}

}  // namespace rmt::data
