#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// s_b = 0 with probability `rate`, else 1 / (1 - rate), for every b of s (B): the factor of
// stochastic depth for sample first_sample + b, a function of (seed, step, layer, sample) alone.
// step () i64. No gradient.
struct DropPathOptions {
  uint64_t seed = 0;
  int64_t layer = 0, first_sample = 0;
  double rate = 0;
};
void drop_path_factors(const Tensor& s, const Tensor& step, const DropPathOptions& options);

}  // namespace rmt::ops
