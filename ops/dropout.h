// Dropout (Srivastava et al., 2014): in training each number is left out with probability `rate`,
// and otherwise divided by 1 - rate, so that its mean stays.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

struct DropoutOptions {
  uint64_t seed = 0;
  int64_t layer = 0;         // a number of its own for each dropout of a model, below 2^32
  int64_t first_sample = 0;  // where a batch is processed in parts: the place of x's first sample
  double rate = 0;
};

// y_i = 0 with probability `rate`, else x_i / (1 - rate). x (B, ...), f32, f64 or bf16; y like x.
// Which are dropped is a function of (seed, step, layer, element) alone, where the element is
// counted from the batch's first sample, first_sample samples before x's: a cut of the batch into
// parts changes nothing. step () i64, on x's device, is read by the kernel, so that a recorded
// training step draws anew each time it is replayed. The lots are drawn again for the gradient and
// not kept; step must still hold the same number then. An Error unless 0 <= rate < 1.
Tensor dropout(const Tensor& x, const Tensor& step, const DropoutOptions& options);

}  // namespace rmt::ops
