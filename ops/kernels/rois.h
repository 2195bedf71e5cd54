// Boxes on the maps of a pyramid, for roi_align on CPU and GPU. Internal to ops/.
#pragma once
#include <cmath>

#include "ops/kernels/roi_align.h"

namespace rmt {

constexpr int kMostLevels = 8;

// Maps (B, rows_l, columns_l, C), of which a cell of level l is stride_l pixels wide, and R tiles
// (P, P, C). An address is null for a map that is not wanted.
struct RoiMaps {
  int64_t B, C, R, P;
  int levels;
  int rows[kMostLevels], columns[kMostLevels];
  double stride[kMostLevels];
  void* at[kMostLevels];
  template <class T>
  HD T* image(int level, int64_t number) const {
    return static_cast<T*>(at[level]) + number * rows[level] * columns[level] * C;
  }
};

// {image, x1, y1, x2, y2}: an image that is there, and coordinates up to 2^20, so that the number
// of samples has a bound; false for nan.
template <class W>
HD bool is_roi(const W* roi, int64_t B) {
  bool good = roi[0] >= 0 && roi[0] < W(B) && W(int64_t(roi[0])) == roi[0];
  for (int i = 1; i < 5; ++i) good = good && roi[i] >= W(-0x1p20) && roi[i] <= W(0x1p20);
  return good;
}

// clamp(floor(log2(sqrt(w h) / 56 + 1e-6)), 0, levels - 1), by comparisons, which have no rounding
// of a logarithm.
HD inline int level_of(double w, double h, int levels) {
  const double size = ::sqrt(w > 0 && h > 0 ? w * h : 0) / 56 + 1e-6;
  int level = 0;
  for (double least = 2; level + 1 < levels && size >= least; least *= 2) ++level;
  return level;
}

struct Roi {
  int64_t image;
  int level;
  BoxAxis rows, columns;
  Range row_cells, column_cells;  // that the box reads: all others have weight 0 in every bin
  template <class W>
  HD Roi(const W* roi, const RoiMaps& m)
      : image(int64_t(roi[0])),
        level(level_of(double(roi[3]) - double(roi[1]), double(roi[4]) - double(roi[2]), m.levels)),
        rows(m.rows[level], int(m.P), double(roi[2]), double(roi[4]), m.stride[level]),
        columns(m.columns[level], int(m.P), double(roi[1]), double(roi[3]), m.stride[level]),
        row_cells{rows.of(0).begin, rows.of(int(m.P) - 1).end},
        column_cells{columns.of(0).begin, columns.of(int(m.P) - 1).end} {}
};

}  // namespace rmt
