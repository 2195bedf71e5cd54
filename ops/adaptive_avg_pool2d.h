// A map of a given size whatever the size it comes from: every pixel is the mean over its share.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, C), f32, f64 or bf16 -> y (B, OH, OW, C). y_o is the mean over the rows
// floor(o H / OH) ... ceil((o + 1) H / OH) - 1 and the columns likewise; windows overlap where the
// division leaves a rest, and repeat pixels where OH > H. Throws Error for an empty x or y, and for
// H OH or W OW from 2^29 on. For OH = OW = 1 mean_pool is faster.
Tensor adaptive_avg_pool2d(const Tensor& x, int64_t OH, int64_t OW);

}  // namespace rmt::ops
