// Sampling: thousands of boxes show background and a few show objects. A loss over all of them
// would learn to say "nothing"; so each image gives a fixed number of boxes, of which a part shows
// objects as far as there are such.
#pragma once
#include <functional>
#include <vector>

#include "nn/detection/matching.h"

namespace rmt::nn {

// k of 0 ... n - 1, ascending.
using Choose = std::function<std::vector<int64_t>(int64_t n, int64_t k)>;

// By chance, every set of k as likely. What is drawn is a function of these: the seed and step of
// the Mode, the image's place in the step's batch, and a number of the purpose (0 ... 7: which
// stage of a network asks).
Choose random_choice(uint64_t seed, int64_t step, int64_t image, int64_t stage);

// Indices of boxes, ascending.
struct Sample {
  std::vector<int64_t> positive;  // with an object
  std::vector<int64_t> negative;  // background
};

// At most count * fraction positives, and negatives up to `count` boxes in all. `matched` is of
// match(). Choose is called for the positives first, and only where there are too many.
Sample sample(const std::vector<int64_t>& matched, int64_t count, double fraction,
              const Choose& choose);

}  // namespace rmt::nn
