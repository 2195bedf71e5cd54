// Where the chances of a pipeline come from: a stream of numbers in [0, 1), so that a test can give
// the numbers that it knows the results of.
#pragma once
#include <cstdint>
#include <functional>

#include "core/random.h"

namespace rmt::data {

struct Draws {
  std::function<double()> unit;  // the next number, in [0, 1)

  // Those of a stream of core/random.h, which must outlive this.
  static Draws of(Random& random) {
    return {[&random] { return random.uniform(); }};
  }
  double uniform(double low, double high) { return low + unit() * (high - low); }
  // low, low + 1, ... high - 1, each as likely.
  int64_t integer(int64_t low, int64_t high) { return low + int64_t(unit() * double(high - low)); }
  bool coin(double probability = 0.5) { return unit() < probability; }
};

}  // namespace rmt::data
