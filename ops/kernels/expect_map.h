// The checks of ops on maps, which keep the integers of map_axes.h in range.
#pragma once
#include "ops/kernels/expect.h"
#include "ops/kernels/map_axes.h"

namespace rmt {

inline void expect_map(const char* op, const Tensor& x) {
  expect_defined(op, "x", x);
  CHECK(x.rank() == 4 && x.dim(1) > 0 && x.dim(2) > 0 && x.dim(3) > 0, op, ": x is ", x.shape(),
        ", expected (B, H, W, C) with H, W and C > 0");
  CHECK(x.dim(1) < 1 << 29 && x.dim(2) < 1 << 29, op, ": x is ", x.shape(),
        ", expected fewer than 2^29 rows and columns");
}

// x (B, H, W, C) under windows of k x k.
inline Maps<SlidingAxis> expect_windows(const char* op, const Tensor& x, int64_t k, int64_t stride,
                                        int64_t pad) {
  expect_map(op, x);
  CHECK(k >= 1 && k <= 4096 && stride >= 1 && stride < 1 << 29, op, ": windows of ", k,
        " in steps of ", stride, ", expected k in [1, 4096] and stride in [1, 2^29)");
  CHECK(pad >= 0 && pad <= k / 2, op, ": pad ", pad, " of windows of ", k,
        ", expected 0 to k / 2, so that every window holds a pixel of the map");
  const auto axis = [&](int64_t size) {
    CHECK(size + 2 * pad >= k, op, ": x ", x.shape(), " padded by ", pad,
          " is smaller than a window of ", k);
    return SlidingAxis{int(size), int((size + 2 * pad - k) / stride + 1), int(k), int(stride),
                       int(pad)};
  };
  return {x.dim(0), x.dim(3), axis(x.dim(1)), axis(x.dim(2))};
}

// x (B, H, W, C) -> (B, OH, OW, C), of axes {size, count}.
template <class Axis>
Maps<Axis> expect_resized(const char* op, const Tensor& x, int64_t OH, int64_t OW) {
  expect_map(op, x);
  CHECK(OH > 0 && OW > 0, op, ": ", x.shape(), " to ", OH, " x ", OW,
        ", expected at least one row and column");
  const int64_t most = (1 << 29) - 1;
  CHECK(OH <= most / x.dim(1) && OW <= most / x.dim(2), op, ": ", x.shape(), " to ", OH, " x ", OW,
        ", expected H OH and W OW below 2^29");
  return {x.dim(0), x.dim(3), Axis{int(x.dim(1)), int(OH)}, Axis{int(x.dim(2)), int(OW)}};
}

}  // namespace rmt
