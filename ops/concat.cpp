// Tensors side by side along an axis, as (outer, n, inner) with n = sum_i n_i:
//
//   y[:, first_i : first_i + n_i, :] = x_i,   first_i = n_0 + ... + n_(i - 1)
//   dx_i = dy[:, first_i : first_i + n_i, :]
//
// Of each o in outer, the n_i inner numbers of x_i are neighbours in both tensors: a row.
#include "ops/concat.h"
#include "ops/kernels/axis.h"
#include "ops/kernels/copy_rows.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // concat.cu
template <class T>
void concat_forward(const T* x, T* y, int64_t rows, int64_t width, int64_t first, int64_t stride);
template <class T>
void concat_backward(const T* dy, T* dx, int64_t rows, int64_t width, int64_t first,
                     int64_t stride);
}  // namespace gpu

namespace cpu {
namespace {

// x (rows, width) to the columns from `first` on of y (rows, stride).
template <class T>
void concat_forward(const T* x, T* y, int64_t rows, int64_t width, int64_t first, int64_t stride) {
  copy_rows(rows, width, x, EveryRow{width}, y + first, EveryRow{stride});
}

template <class T>
void concat_backward(const T* dy, T* dx, int64_t rows, int64_t width, int64_t first,
                     int64_t stride) {
  copy_rows(rows, width, dy + first, EveryRow{stride}, dx, EveryRow{width});
}

}  // namespace
}  // namespace cpu

namespace {

// x must have the dtype, the device and, but for one axis, the extents of the first tensor.
void expect_like_first(const Tensor& first, const Tensor& x, size_t i, int axis) {
  expect_defined("concat", "one of the tensors", x);
  bool fits = x.rank() == first.rank();
  for (int d = 0; fits && d < x.rank(); ++d) fits = d == axis || x.dim(d) == first.dim(d);
  CHECK(fits, "concat: tensor ", i, " is ", x.shape(), ", the first is ", first.shape(),
        "; only the extents of axis ", axis, " may differ");
  CHECK(x.dtype() == first.dtype() && x.device() == first.device(), "concat: tensor ", i, " ",
        x.shape(), " is ", x.dtype(), " on ", x.device(), ", the first ", first.shape(), " is ",
        first.dtype(), " on ", first.device(), "; convert one with Tensor::to");
}

}  // namespace

Tensor ops::concat(const std::vector<Tensor>& xs, int axis) {
  CHECK(!xs.empty(), "concat: no tensors were given, expected one or more");
  const Axis a = expect_axis("concat", "the first tensor", xs[0], axis);
  int64_t n = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    expect_like_first(xs[0], xs[i], i, a.axis);
    n += xs[i].dim(a.axis);
  }
  Shape shape = xs[0].shape();
  shape.set(a.axis, n);
  Tensor y = Tensor::empty(shape, xs[0].dtype(), xs[0].device());
  const int64_t stride = n * a.inner;
  std::vector<Shape> shapes;
  std::vector<bool> wanted;  // the gradients that are
  int64_t first = 0;
  for (const Tensor& x : xs) {
    const int64_t width = x.dim(a.axis) * a.inner;
    DISPATCH(x, concat_forward, x, y, a.outer, width, first, stride);
    first += width;
    shapes.push_back(x.shape());
    wanted.push_back(needs_grad(x));
  }
  return record("concat", y, xs, [shapes, wanted, a, stride](const Tensor& dy) -> Grads {
    Grads dxs(shapes.size());
    int64_t at = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      const int64_t width = shapes[i][a.axis] * a.inner;
      if (wanted[i]) {
        dxs[i] = Tensor::empty(shapes[i], dy.dtype(), dy.device());
        DISPATCH(dy, concat_backward, dy, dxs[i], a.outer, width, at, stride);
      }
      at += width;
    }
    return dxs;
  });
}

}  // namespace rmt
