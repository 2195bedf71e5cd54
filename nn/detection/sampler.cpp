#include "nn/detection/sampler.h"

#include <algorithm>
#include <memory>
#include <set>

#include "core/random.h"

namespace rmt::nn {

// Floyd's way: for m = n - k ... n - 1 take one of 0 ... m, or m itself if that one is taken.
Choose random_choice(uint64_t seed, int64_t step, int64_t image, int64_t stage) {
  CHECK(stage >= 0 && stage < 8, "random_choice: stage ", stage, " is not in 0 ... 7");
  auto random = std::make_shared<Random>(seed, Purpose::sampling, uint64_t(step),
                                         uint64_t(image * 8 + stage));
  return [random](int64_t n, int64_t k) {
    std::set<int64_t> taken;
    for (int64_t m = n - k; m < n; ++m)
      if (!taken.insert(random->below(m + 1)).second) taken.insert(m);
    return std::vector<int64_t>(taken.begin(), taken.end());
  };
}

static std::vector<int64_t> at_most(const std::vector<int64_t>& all, int64_t most,
                                    const Choose& choose) {
  const int64_t n = int64_t(all.size());
  if (n <= most) return all;
  std::vector<int64_t> chosen;
  for (int64_t i : choose(n, most)) chosen.push_back(all.at(size_t(i)));
  return chosen;
}

Sample sample(const std::vector<int64_t>& matched, int64_t count, double fraction,
              const Choose& choose) {
  Sample all;
  for (size_t j = 0; j < matched.size(); ++j) {
    if (matched[j] >= 0) all.positive.push_back(int64_t(j));
    if (matched[j] == kBackground) all.negative.push_back(int64_t(j));
  }
  Sample s;
  s.positive = at_most(all.positive, int64_t(double(count) * fraction), choose);
  s.negative = at_most(all.negative, count - int64_t(s.positive.size()), choose);
  return s;
}

}  // namespace rmt::nn
