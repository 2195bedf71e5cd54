// The extents that the CPU kernels and the CUDA kernels of an op share. Internal to ops/.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "ops/attention/manhattan_attention.h"

namespace rmt {

struct Conv {  // conv2d: x (B, H, W, I), w (O, I, k, k), y (B, OH, OW, O)
  int64_t B, H, W, I, O, k, stride, pad, OH, OW;
  HD int64_t patch() const { return k * k * I; }
};

struct Map {  // depthwise_conv2d: x (B, H, W, C) and the filter, k = 2 r + 1
  int64_t B, H, W, C, k, r;
  HD int64_t at(int64_t row, int64_t x) const {
    return (row * W + x) * C;
  }  // row counts through all B maps
};

struct Lines {  // manhattan_attention: how the map falls into lines of n positions
  int64_t B, H, W, heads, D;
  ops::Axis axis;
  ops::DecayMode mode;

  HD int64_t n() const { return axis == ops::Axis::W ? W : axis == ops::Axis::H ? H : H * W; }
  HD int64_t count() const {
    return axis == ops::Axis::W ? B * H : axis == ops::Axis::H ? B * W : B;
  }
  HD int64_t step() const { return axis == ops::Axis::H ? W : 1; }  // between positions of a line
  HD int64_t first(int64_t line) const {
    return axis == ops::Axis::H ? line / W * H * W + line % W : line * n();
  }  // position, counted through the batch
};

}  // namespace rmt
