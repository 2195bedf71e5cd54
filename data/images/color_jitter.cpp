#include "data/images/color_jitter.h"

#include <utility>

namespace rmt::data {

std::array<AugmentStep, 3> draw_jitter(double amount, Random& random) {
  std::array<AugmentStep, 3> steps{
      {{AugmentOp::brightness}, {AugmentOp::contrast}, {AugmentOp::saturation}}};
  for (AugmentStep& step : steps) step.argument = random.uniform(1 - amount, 1 + amount);
  for (size_t left = steps.size(); left > 1; --left)
    std::swap(steps[left - 1], steps[size_t(random.below(int64_t(left)))]);  // Fisher and Yates
  return steps;
}

}  // namespace rmt::data
