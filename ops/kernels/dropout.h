// Which numbers a dropout leaves out, for CPU and GPU: one word of Philox an element, four of them
// at once.
#pragma once
#include "core/random.h"

namespace rmt {

// What the kernels need of the options. first: the place of x's element 0 in the whole batch.
struct DropoutLots {
  uint64_t seed;
  int64_t layer, first;
  uint32_t dropped;  // words below it, `rate` of all 2^32, mean that the number is dropped

  // Words for the elements 4 q ... 4 q + 3 of the batch: numbers 4 q ... of the stream
  // Random(seed, Purpose::dropout, step, layer).
  HD std::array<uint32_t, 4> words(int64_t step, int64_t q) const {
    std::array<uint32_t, 4> counter =
        first_counter(Purpose::dropout, uint64_t(step), uint64_t(layer));
    counter[0] = uint32_t(q);
    return philox(counter, {uint32_t(seed), uint32_t(seed >> 32)});
  }
};

}  // namespace rmt
