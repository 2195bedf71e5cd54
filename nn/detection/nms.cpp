#include "nn/detection/nms.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace rmt::nn {

// The sorting is once; the pairs that are compared are those with a box that stayed in the same
// group, which are few.
std::vector<int64_t> suppress(const std::vector<Candidate>& candidates, double threshold,
                              int64_t most) {
  std::vector<int64_t> order(candidates.size()), kept;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
    return candidates[size_t(i)].score > candidates[size_t(j)].score;
  });
  std::map<int64_t, std::vector<Box>> stayed;  // by group
  for (int64_t i : order) {
    if (int64_t(kept.size()) >= most) break;
    const Candidate& c = candidates[size_t(i)];
    std::vector<Box>& others = stayed[c.group];
    if (std::any_of(others.begin(), others.end(),
                    [&](const Box& b) { return iou(b, c.box) > threshold; }))
      continue;
    others.push_back(c.box);
    kept.push_back(i);
  }
  return kept;
}

}  // namespace rmt::nn
