#include "data/sets/subset.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/random.h"

namespace rmt::data {
namespace {

// One image of a class. `place` is a random number that only its name decides.
struct Drawn {
  uint32_t place;
  std::string name;
  int64_t index;
};

uint32_t place_of(const std::string& name) {
  return philox({crc32c(name.data(), name.size()), 0, 0, 0}, {})[0];
}

}  // namespace

std::vector<bool> held_out(const Dataset& data, double part) {
  std::vector<std::vector<Drawn>> images(data.classes().size());
  for (int64_t i = 0; i < data.size(); ++i) {
    std::string name = short_name(data, i);
    images[size_t(data.label(i))].push_back({place_of(name), std::move(name), i});
  }
  std::vector<bool> held(size_t(data.size()));
  for (std::vector<Drawn>& drawn : images) {
    std::sort(drawn.begin(), drawn.end(), [](const Drawn& a, const Drawn& b) {
      return std::tie(a.place, a.name, a.index) < std::tie(b.place, b.name, b.index);
    });
    const auto n = int64_t(drawn.size());
    const int64_t most = std::max<int64_t>(n - 1, 0),
                  count = std::clamp<int64_t>(std::llround(double(n) * part),
                                              std::min<int64_t>(1, most), most);
    for (int64_t k = 0; k < count; ++k) held[size_t(drawn[size_t(k)].index)] = true;
  }
  return held;
}

Subset::Subset(std::shared_ptr<const Dataset> whole, const std::vector<bool>& chosen, bool value)
    : whole_(std::move(whole)) {
  for (size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i] == value) indices_.push_back(int64_t(i));
  CHECK(!indices_.empty(), "data folder ", whole_->place(), ": no class has two images, so that ",
        "--val-split can hold none out; add images, or a val/");
}

}  // namespace rmt::data
