#include "nn/detection/matching.h"

#include "core/error.h"

namespace rmt::nn {
namespace {

// The boxes that share an object's largest IoU.
struct Nearest {
  double iou = 0;
  std::vector<size_t> boxes;
  void see(size_t box, double its_iou) {
    if (its_iou < iou || its_iou <= 0) return;
    if (its_iou > iou) boxes.clear();
    iou = its_iou;
    boxes.push_back(box);
  }
};

}  // namespace

std::vector<int64_t> match(const std::vector<Box>& boxes, const std::vector<char>& considered,
                           const std::vector<Box>& objects, const MatchRule& rule) {
  CHECK(considered.empty() || considered.size() == boxes.size(), "match: ", considered.size(),
        " flags for ", boxes.size(), " boxes");
  std::vector<int64_t> matched(boxes.size(), kUnsure);
  std::vector<Nearest> nearest(objects.size());
  for (size_t j = 0; j < boxes.size(); ++j) {
    if (!considered.empty() && !considered[j]) continue;
    double most = 0;
    size_t object = 0;
    for (size_t i = 0; i < objects.size(); ++i) {
      const double overlap = iou(objects[i], boxes[j]);
      nearest[i].see(j, overlap);
      if (overlap > most) most = overlap, object = i;
    }
    if (most < rule.negative || objects.empty()) matched[j] = kBackground;
    if (most >= rule.positive && !objects.empty()) matched[j] = int64_t(object);
  }
  for (size_t i = 0; i < objects.size(); ++i)
    if (nearest[i].iou >= rule.nearest)
      for (size_t j : nearest[i].boxes) matched[j] = int64_t(i);
  return matched;
}

}  // namespace rmt::nn
