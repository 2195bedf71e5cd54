// Stochastic depth: in each step a branch is left out for some samples, chosen by lot.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

struct DropPathOptions {
  uint64_t seed = 0;
  int64_t layer = 0, first_sample = 0;
  double rate = 0;
};

// s_lb = 0 with probability `rate`, else 1 / (1 - rate), written into s (layers, B): the factor of
// branch layer + l for sample first_sample + b, of mean 1. It is a function of (seed, step, layer,
// sample) alone. step () i64, on s's device, is read by the kernel, so that a recorded training
// step draws anew each time it is replayed. 0 <= rate < 1, else an Error. No gradient.
void drop_path_factors(const Tensor& s, const Tensor& step, const DropPathOptions& options);

}  // namespace rmt::ops
