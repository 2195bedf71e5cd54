// The elements [begin, end) of an axis, x as (outer, n, inner):
//
//   y = x[:, begin : end, :];   dx[:, begin : end, :] = dy, and 0 around it
//
// Of each o in outer, the (end - begin) inner numbers are neighbours in both tensors: a row.
#include "ops/slice.h"
#include "ops/kernels/axis.h"
#include "ops/kernels/copy_rows.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // slice.cu
template <class T>
void slice_forward(const T* x, T* y, int64_t rows, int64_t width, int64_t first, int64_t stride);
template <class T>
void slice_backward(const T* dy, T* dx, int64_t rows, int64_t width, int64_t first, int64_t stride);
}  // namespace gpu

namespace cpu {
namespace {

// The columns [first, first + width) of x (rows, stride) -> y (rows, width)
template <class T>
void slice_forward(const T* x, T* y, int64_t rows, int64_t width, int64_t first, int64_t stride) {
  copy_rows(rows, width, x + first, EveryRow{stride}, y, EveryRow{width});
}

// dx holds zeros.
template <class T>
void slice_backward(const T* dy, T* dx, int64_t rows, int64_t width, int64_t first,
                    int64_t stride) {
  copy_rows(rows, width, dy, EveryRow{width}, dx + first, EveryRow{stride});
}

}  // namespace
}  // namespace cpu

Tensor ops::slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  const Axis a = expect_axis("slice", "x", x, axis);
  CHECK(0 <= begin && begin <= end && end <= a.n, "slice: [", begin, ", ", end,
        ") is not inside axis ", a.axis, " of x ", x.shape(),
        ", expected 0 <= begin <= end <= ", a.n);
  Shape shape = x.shape();
  shape.set(a.axis, end - begin);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const int64_t width = (end - begin) * a.inner, first = begin * a.inner, stride = a.n * a.inner;
  DISPATCH(x, slice_forward, x, y, a.outer, width, first, stride);
  return record(
      "slice", y, {x},
      [shape = x.shape(), rows = a.outer, width, first, stride](const Tensor& dy) -> Grads {
        Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
        DISPATCH(dy, slice_backward, dy, dx, rows, width, first, stride);
        return {dx};
      });
}

}  // namespace rmt
