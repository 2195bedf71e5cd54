// A map of another size, by weighted means of neighbours, along the rows and along the columns:
//
//   y_o = (1 - f) x_i + f x_(i + 1),   i + f = s = max(0, (o + 1/2) H / OH - 1/2),   i = floor(s)
//   dx_i = sum over o of the weight with which y_o reads x_i
//
// where x_H counts as x_(H - 1). s is a fraction of integers, so that i is exact, and f is off by
// one rounding.
#include "ops/resize_bilinear.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect_map.h"
#include "ops/kernels/weigh_windows.h"

namespace rmt {
namespace gpu {  // resize_bilinear.cu
template <class T>
void resize_bilinear_forward(const T* x, T* y, const Maps<BilinearAxis>& m);
template <class T>
void resize_bilinear_backward(const T* dy, T* dx, const Maps<BilinearAxis>& m);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void resize_bilinear_forward(const T* x, T* y, const Maps<BilinearAxis>& m) {
  weigh_windows(x, y, m);
}

template <class T>
void resize_bilinear_backward(const T* dy, T* dx, const Maps<BilinearAxis>& m) {
  weigh_windows(dy, dx, transposed(m));
}

}  // namespace
}  // namespace cpu

Tensor ops::resize_bilinear(const Tensor& x, int64_t OH, int64_t OW) {
  const auto m = expect_resized<BilinearAxis>("resize_bilinear", x, OH, OW);
  Tensor y = Tensor::empty({m.B, m.rows.count, m.columns.count, m.C}, x.dtype(), x.device());
  DISPATCH(x, resize_bilinear_forward, x, y, m);
  return record("resize_bilinear", y, {x}, [m, shape = x.shape()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
    DISPATCH(dy, resize_bilinear_backward, dy, dx, m);
    return {dx};
  });
}

}  // namespace rmt
