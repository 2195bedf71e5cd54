// The extents that the CPU kernels and the CUDA kernels of an op share. Internal to ops/.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rmt {

struct Conv {  // conv2d: x (B, H, W, I), w (O, in, k, k), y (B, OH, OW, O)
  int64_t B, H, W, I, O, k, stride, pad, OH, OW;
  int64_t groups, in, out;  // of channels; those that each reads, and makes
  HD int64_t patch() const { return k * k * in; }
};

struct Map {  // depthwise_conv2d: x (B, H, W, C) and the filter, k = 2 r + 1
  int64_t B, H, W, C, k, r;
  HD int64_t at(int64_t row, int64_t x) const {
    return (row * W + x) * C;
  }  // row counts through all B maps
};

struct TokenTargets {  // token_targets: maps (B, h, w, T), target (B, rows, columns, K)
  int64_t B, h, w, T, K, rows, columns;
  double smoothing;
  HD double smoothed(double p) const {
    const double low = smoothing / double(K);
    return p * (1 - smoothing + low) + low;
  }
};

}  // namespace rmt
