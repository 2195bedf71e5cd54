#include "data/labels/label_maps.h"

#include <cmath>

#include "core/error.h"

namespace rmt::data {

void check_label_map(const LabelMap& map, int64_t classes, const std::string& place) {
  auto cell = [&](size_t i) {
    const int64_t at = int64_t(i) / map.top;
    return str("cell (", at / map.width, ", ", at % map.width, ")");
  };
  for (size_t i = 0; i < map.values.size(); ++i) {
    CHECK(std::isfinite(map.values[i]), place, ": ", cell(i), " has the logit ", map.values[i],
          ", expected finite numbers; make the map again");
    CHECK(map.classes[i] >= 0 && map.classes[i] < classes, place, ": ", cell(i), " has class ",
          map.classes[i], " of ", classes, ": labels of other classes?");
  }
}

}  // namespace rmt::data
