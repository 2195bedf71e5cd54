// A map of another size, by copies.
//
//   y_oy,ox = x_iy,ix   with iy = floor(oy H / OH) and ix = floor(ox W / OW), in integers
//   dx_iy,ix = sum of dy over the pixels of y that are copies of it: a block of neighbours
#include "ops/resize_nearest.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect_map.h"
#include "ops/kernels/weigh_windows.h"

namespace rmt {
namespace gpu {  // resize_nearest.cu
template <class T>
void resize_nearest_forward(const T* x, T* y, const Maps<NearestAxis>& m);
template <class T>
void resize_nearest_backward(const T* dy, T* dx, const Maps<NearestAxis>& m);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void resize_nearest_forward(const T* x, T* y, const Maps<NearestAxis>& m) {
  weigh_windows(x, y, m);
}

template <class T>
void resize_nearest_backward(const T* dy, T* dx, const Maps<NearestAxis>& m) {
  weigh_windows(dy, dx, transposed(m));
}

}  // namespace
}  // namespace cpu

Tensor ops::resize_nearest(const Tensor& x, int64_t OH, int64_t OW) {
  const auto m = expect_resized<NearestAxis>("resize_nearest", x, OH, OW);
  Tensor y = Tensor::empty({m.B, m.rows.count, m.columns.count, m.C}, x.dtype(), x.device());
  DISPATCH(x, resize_nearest_forward, x, y, m);
  return record("resize_nearest", y, {x}, [m, shape = x.shape()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
    DISPATCH(dy, resize_nearest_backward, dy, dx, m);
    return {dx};
  });
}

}  // namespace rmt
