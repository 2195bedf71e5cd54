// What pools of means and resizing are, on the CPU: each pixel of y is a weighted sum of the pixels
// of x in its window (map_axes.h), all channels alike.
//
//   y_oy,ox = sum_ij weight(oy, i) weight(ox, j) x_ij      i in rows.of(oy), j in columns.of(ox)
//
// It is linear in x. So the gradient is the same sum with transposed(m), where dy is read and dx
// made: dx_ij = sum over the windows that hold (i, j). Internal to ops/.
#pragma once
#include <algorithm>

#include "core/rows.h"
#include "ops/kernels/map_axes.h"

namespace rmt::cpu {

template <class T, class Axis>
void weigh_windows(const T* x, T* y, const Maps<Axis>& m) {
  const int64_t H = m.rows.count, W = m.columns.count, C = m.C;
  const int64_t reads = int64_t(m.rows.of(int(H / 2)).size()) * m.columns.of(int(W / 2)).size();
  const simd::View<const T> from = x;
  const simd::View<T> to = y;
  simd::for_each_row(m.y_pixels(), C * std::max<int64_t>(1, reads), [=](int64_t r) {
    const Pixel o(r, H, W);
    const Range rows = m.rows.of(o.row), columns = m.columns.of(o.column);
    std::fill_n(y + r * C, C, T(0));
    for (int i = rows.begin; i < rows.end; ++i) {
      const T weight_i = m.rows.template weight<T>(o.row, i);
      for (int j = columns.begin; j < columns.end; ++j) {
        const T weight = weight_i * m.columns.template weight<T>(o.column, j);
        const int64_t at = m.x_at(o.image, i, j);
        simd::for_columns<T>(C, [&](auto c) { to(r, c) += weight * from(at, c); });
      }
    }
  });
}

}  // namespace rmt::cpu
