// Dropout of whole channels (Tompson et al., 2015), for maps, whose neighbouring pixels say much
// the same: a pixel left out alone would be guessed from them.
#pragma once
#include "ops/dropout.h"

namespace rmt::ops {

// y_b..c = 0 with probability `rate`, else x_b..c / (1 - rate), one lot for all of channel c of
// sample b. x (B, ..., C), f32, f64 or bf16; y like x. The lots are those that dropout() would draw
// for a tensor (B, C), so that options and step are as there; a number of a layer names either a
// dropout or one of channels.
Tensor drop_channels(const Tensor& x, const Tensor& step, const DropoutOptions& options);

}  // namespace rmt::ops
