// Dropout of whole channels: in training each channel of an image is left out with probability
// `rate`, and otherwise divided by 1 - rate.  (B, H, W, C) -> same
#pragma once
#include "nn/dropout.h"
#include "ops/mul.h"

namespace rmt::nn {

struct DropChannels : Dropout {
  using Dropout::Dropout;
  Tensor forward(const Tensor& x) {
    if (!mode().training || rate == 0) return x;
    const Tensor ones = Tensor::full({x.dim(0), 1, 1, x.dim(3)}, 1, x.dtype(), x.device());
    return ops::mul(x, Dropout::forward(ones));
  }
};

}  // namespace rmt::nn
