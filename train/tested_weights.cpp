#include "train/tested_weights.h"

#include <algorithm>
#include <utility>

namespace rmt::train {

// Images that are held for all weights to see before these change places, which reads and writes
// every parameter: on a CPU for a part of the time that one image of 224 x 224 needs.
constexpr int64_t kHeld = 16;

TestedWeights::TestedWeights(Optimizer& optimizer)
    : average_(optimizer.average().on() ? &optimizer : nullptr) {}

void TestedWeights::use(size_t k) {
  if (k != in_place_) average_->swap_average();
  in_place_ = k;
}

bool TestedWeights::for_each(data::Batches& loader,
                             const std::function<bool(size_t, const data::Batch&)>& f) {
  struct Own {
    TestedWeights& weights;
    ~Own() { weights.use(0); }
  } afterwards{*this};
  loader.start(0);
  return pass(loader, f);
}

bool TestedWeights::pass(data::Batches& loader,
                         const std::function<bool(size_t, const data::Batch&)>& f) {
  for (;;) {
    std::vector<data::Batch> batches;
    for (int64_t images = 0; images < (count() > 1 ? kHeld : 1);) {
      std::optional<data::Batch> batch = loader.next();
      if (!batch) break;
      images += std::max<int64_t>(batch->images.dim(0), 1);
      batches.push_back(std::move(*batch));
    }
    if (batches.empty()) return true;
    for (size_t i = 0; i < count(); ++i) {
      if (i > 0) use(1 - in_place_);
      for (const data::Batch& batch : batches)
        if (!f(in_place_, batch)) return false;
    }
  }
}

}  // namespace rmt::train
