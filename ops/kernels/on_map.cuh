// Kernels that make a map pixel by pixel: map_columns() (core/cuda/columns.cuh) with an f derived
// from OnMap, f(Channels<N>, Pixel) -> N neighbouring channels of that pixel. Internal to ops/.
#pragma once
#include "core/cuda/columns.cuh"
#include "ops/kernels/map_axes.h"

namespace rmt::gpu {

template <int N>
struct Channels {
  int64_t first;
};

struct OnMap {
  unsigned H, W;  // rows and columns of the map that is made
  template <int N>
  __device__ Channels<N> columns(int64_t c) const {
    return {c};
  }
  __device__ Pixel row(unsigned number) const { return Pixel(number, H, W); }
};

}  // namespace rmt::gpu
