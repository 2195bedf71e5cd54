// How many multiply-adds the ops are asked for: one is a product added to a sum, what papers call a
// FLOP. Each op that multiplies matrices or filters says it in its forward pass; norms, activations
// and sums are not counted. nn/models/count.h asks for the sum over a network.
#pragma once
#include <cstdint>

namespace rmt {

// Of this thread, since it was last set to 0.
inline thread_local int64_t multiply_adds_counted = 0;

inline void count_multiply_adds(int64_t n) { multiply_adds_counted += n; }

}  // namespace rmt
