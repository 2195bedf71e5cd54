// The mean over each k x k window of a map, the windows `stride` pixels apart.
//
//   y_o = 1 / n_o sum of x_p over the pixels p in window o
//   dx_p = sum of dy_o / n_o over the windows o that hold p
//
// with n_o = k k, or the number of pixels of window o that are on the map. n_o is a number of rows
// times a number of columns: ops/kernels/weigh_windows.h.
#include "ops/avg_pool2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect_map.h"
#include "ops/kernels/weigh_windows.h"

namespace rmt {
namespace gpu {  // avg_pool2d.cu
template <class T>
void avg_pool2d_forward(const T* x, T* y, const Maps<AverageAxis>& m);
template <class T>
void avg_pool2d_backward(const T* dy, T* dx, const Maps<AverageAxis>& m);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void avg_pool2d_forward(const T* x, T* y, const Maps<AverageAxis>& m) {
  weigh_windows(x, y, m);
}

template <class T>
void avg_pool2d_backward(const T* dy, T* dx, const Maps<AverageAxis>& m) {
  weigh_windows(dy, dx, transposed(m));
}

}  // namespace
}  // namespace cpu

Tensor ops::avg_pool2d(const Tensor& x, int64_t k, int64_t stride, int64_t pad,
                       bool count_include_pad) {
  const Maps<SlidingAxis> w = expect_windows("avg_pool2d", x, k, stride, pad);
  const int margin = count_include_pad ? int(pad) : 0;
  const Maps<AverageAxis> m{w.B, w.C, {w.rows, margin}, {w.columns, margin}};
  Tensor y = Tensor::empty({m.B, m.rows.count, m.columns.count, m.C}, x.dtype(), x.device());
  DISPATCH(x, avg_pool2d_forward, x, y, m);
  return record("avg_pool2d", y, {x}, [m, shape = x.shape()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
    DISPATCH(dy, avg_pool2d_backward, dy, dx, m);
    return {dx};
  });
}

}  // namespace rmt
