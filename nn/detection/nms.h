// Non-maximum suppression: a network finds the same object many times over. Of boxes that overlap
// much, the one with the highest score stays.
#pragma once
#include <vector>

#include "nn/detection/box.h"

namespace rmt::nn {

// A box that may stay. Boxes of different groups (classes, levels) do not suppress each other.
struct Candidate {
  Box box;
  double score = 0;
  int64_t group = 0;
};

// The indices of those that stay, highest score first, equal scores in their order: from the best
// down, a candidate stays unless its IoU with one that stayed in its group is above the threshold.
// It ends when `most` have stayed.
std::vector<int64_t> suppress(const std::vector<Candidate>& candidates, double threshold,
                              int64_t most);

}  // namespace rmt::nn
