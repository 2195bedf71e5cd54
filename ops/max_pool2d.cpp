// The maximum over each k x k window of a map, the windows `stride` pixels apart.
//
//   y_o = max of x_p over the pixels p in window o
//   dx_p = sum of dy_o over the windows o whose maximum is p
//
// Which tap of its window won is kept beside each number of y, as a number of its type, counted row
// by row. dx_p then asks each window that holds p whether its winner is p. max_pool has one window,
// as large as the map.
#include "ops/max_pool2d.h"

#include <limits>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect_map.h"

namespace rmt {
namespace gpu {  // max_pool2d.cu
template <class T>
void max_pool2d_forward(const T* x, T* y, Wide<T>* winner, const Maps<SlidingAxis>& m);
template <class T>
void max_pool2d_backward(const T* dy, const Wide<T>* winner, T* dx, const Maps<SlidingAxis>& m);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// winner: null where no gradient is wanted.
template <class T>
void max_pool2d_forward(View<const T> x, View<T> y, View<T> winner, const Maps<SlidingAxis>& m) {
  const int64_t H = m.rows.count, W = m.columns.count, k = m.columns.k;
  simd::for_each_row(m.y_pixels(), m.C * m.rows.k * k, [=](int64_t r) {
    const Pixel o(r, H, W);
    const int top = m.rows.start(o.row), left = m.columns.start(o.column);
    const Range rows = m.rows.of(o.row), columns = m.columns.of(o.column);
    simd::for_columns<T>(m.C, [&](auto c) {
      Vec<T> most = simd::broadcast(-std::numeric_limits<T>::infinity());
      Vec<T> tap = simd::broadcast(T((rows.begin - top) * k + columns.begin - left));
      for (int i = rows.begin; i < rows.end; ++i)
        for (int j = columns.begin; j < columns.end; ++j) {
          const Vec<T> x_ij = x(m.x_at(o.image, i, j), c);
          const auto wins = (x_ij > most) | (x_ij != x_ij);
          most = wins ? x_ij : most;
          tap = wins ? simd::broadcast(T((i - top) * k + j - left)) : tap;
        }
      y(r, c) = most;
      if (winner) winner(r, c) = tap;
    });
  });
}

template <class T>
void max_pool2d_backward(View<const T> dy, View<const T> winner, View<T> dx,
                         const Maps<SlidingAxis>& m) {
  const int64_t H = m.rows.size, W = m.columns.size, k = m.columns.k;
  const int64_t windows = k / m.rows.stride + 1;  // along an axis, that hold a pixel
  simd::for_each_row(m.x_pixels(), m.C * windows * windows, [=](int64_t r) {
    const Pixel p(r, H, W);
    const Range rows = m.rows.readers(p.row), columns = m.columns.readers(p.column);
    simd::for_columns<T>(m.C, [&](auto c) {
      Vec<T> sum{};
      for (int i = rows.begin; i < rows.end; ++i)
        for (int j = columns.begin; j < columns.end; ++j) {
          const int64_t at = m.y_at(p.image, i, j);
          const auto tap = T((p.row - m.rows.start(i)) * k + p.column - m.columns.start(j));
          sum += winner(at, c) == tap ? dy(at, c) : Vec<T>{};
        }
      dx(r, c) = sum;
    });
  });
}

}  // namespace
}  // namespace cpu

// The maximum over the windows of m; `shape` is that of y.
static Tensor max_of_windows(const char* name, const Tensor& x, const Maps<SlidingAxis>& m,
                             const Shape& shape) {
  Tensor y = Tensor::empty(shape, x.dtype(), x.device()), winner;
  if (needs_grad(x)) winner = Tensor::empty(shape, wide(x.dtype()), x.device());
  DISPATCH(x, max_pool2d_forward, x, y, winner, m);
  return record(name, y, {x}, [m, winner, shape_x = x.shape()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty(shape_x, dy.dtype(), dy.device());
    DISPATCH(dy, max_pool2d_backward, dy, winner, dx, m);
    return {dx};
  });
}

Tensor ops::max_pool2d(const Tensor& x, int64_t k, int64_t stride, int64_t pad) {
  const Maps<SlidingAxis> m = expect_windows("max_pool2d", x, k, stride, pad);
  return max_of_windows("max_pool2d", x, m, {m.B, m.rows.count, m.columns.count, m.C});
}

// x (B, H, W, C) -> (B, C)
Tensor ops::max_pool(const Tensor& x) {
  expect_map("max_pool", x);
  CHECK(x.dim(1) <= 4096 && x.dim(2) <= 4096, "max_pool: x is ", x.shape(),
        ", expected at most 4096 rows and columns");
  const auto whole = [](int64_t size) { return SlidingAxis{int(size), 1, int(size), 1, 0}; };
  return max_of_windows("max_pool", x, {x.dim(0), x.dim(3), whole(x.dim(1)), whole(x.dim(2))},
                        {x.dim(0), x.dim(3)});
}

}  // namespace rmt
