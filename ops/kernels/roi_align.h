// RoIAlign (He et al., "Mask R-CNN", 2017) along one axis. A box of a map becomes `bins` bins, each
// the mean of evenly spaced samples. In cells of the map, of which cell i has its middle at i:
//
//   side = max(high - low, 1),  bin = side / bins,  samples = ceil(bin)
//   place(o, m) = low + bin (o + (m + 1/2) / samples)
//
// A sample at place p takes the cells floor(p) and floor(p) + 1 with the weights 1 - f and f,
// f = p - floor(p). Before the first cell it takes that one alone, after the last likewise; below
// -1 and above `size` it is 0. Rows and columns are independent: bin (r, s) takes cell (i, j) with
// the weight rows.weight(r, i) columns.weight(s, j). Internal to ops/.
#pragma once
#include <cmath>

#include "ops/kernels/map_axes.h"

namespace rmt {

// box: {left, top, right, bottom} as shares of the map. It may reach over the map by the map's size
// on each side, so that the number of samples has a bound; false for nan.
HD inline bool is_box(const double* box) {
  return box[0] >= -1 && box[0] <= box[2] && box[2] <= 2 && box[1] >= -1 && box[1] <= box[3] &&
         box[3] <= 2;
}

struct SampledAxis {
  int size, samples;
  double low, bin;
  HD double place(int o, int m) const { return ::fma(bin, o + (m + 0.5) / samples, low); }
  HD double on_map(double p) const { return p < 0 ? 0 : p > size - 1 ? size - 1 : p; }
  // The cells that bin o reads: all others have weight 0.
  HD Range of(int o) const {
    if (samples == 0) return {0, 0};
    const int last = int(on_map(place(o, samples - 1)));
    return {int(on_map(place(o, 0))), last + 2 < size ? last + 2 : size};
  }
  HD double weight(int o, int i) const {
    double sum = 0;
    for (int m = 0; m < samples; ++m) {
      const double p = place(o, m), apart = ::fabs(on_map(p) - i);
      if (p >= -1 && p <= size && apart < 1) sum += 1 - apart;
    }
    return sum / samples;
  }
};

// From `begin` to `end` as shares of the axis.
struct RoiAxis : SampledAxis {
  // A share of 0 is the edge of the first cell, half a cell before its middle. The products are
  // rounded in one way on every device, fma's: else a side of a whole number of bins could have one
  // sample more on one of them.
  HD RoiAxis(int cells, int bins, double begin, double end) {
    size = cells;
    low = ::fma(begin, cells, -0.5);
    const double side = ::fma(end, cells, -0.5) - low;
    bin = (side > 1 ? side : 1) / bins;
    samples = int(::ceil(bin));
  }
};

// From `begin` to `end` in pixels, `stride` pixels a cell. A side has no least length here, and one
// of 0 or less no samples.
struct BoxAxis : SampledAxis {
  HD BoxAxis(int cells, int bins, double begin, double end, double stride) {
    size = cells;
    low = begin / stride - 0.5;
    bin = (end / stride - 0.5 - low) / bins;
    samples = bin > 0 ? int(::ceil(bin)) : 0;
  }
};

}  // namespace rmt
