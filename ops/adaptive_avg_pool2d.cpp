// The mean over each of OH x OW windows that cover a map evenly.
//
//   rows of window o:   floor(o H / OH) to ceil((o + 1) H / OH), without the latter; columns alike
//   y_o = 1 / n_o sum of x_p over the pixels p in window o, n_o their number
//   dx_p = sum of dy_o / n_o over the windows o that hold p
#include "ops/adaptive_avg_pool2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect_map.h"
#include "ops/kernels/weigh_windows.h"

namespace rmt {
namespace gpu {  // adaptive_avg_pool2d.cu
template <class T>
void adaptive_avg_pool2d_forward(const T* x, T* y, const Maps<AdaptiveAxis>& m);
template <class T>
void adaptive_avg_pool2d_backward(const T* dy, T* dx, const Maps<AdaptiveAxis>& m);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void adaptive_avg_pool2d_forward(const T* x, T* y, const Maps<AdaptiveAxis>& m) {
  weigh_windows(x, y, m);
}

template <class T>
void adaptive_avg_pool2d_backward(const T* dy, T* dx, const Maps<AdaptiveAxis>& m) {
  weigh_windows(dy, dx, transposed(m));
}

}  // namespace
}  // namespace cpu

Tensor ops::adaptive_avg_pool2d(const Tensor& x, int64_t OH, int64_t OW) {
  const auto m = expect_resized<AdaptiveAxis>("adaptive_avg_pool2d", x, OH, OW);
  Tensor y = Tensor::empty({m.B, m.rows.count, m.columns.count, m.C}, x.dtype(), x.device());
  DISPATCH(x, adaptive_avg_pool2d_forward, x, y, m);
  return record("adaptive_avg_pool2d", y, {x}, [m, shape = x.shape()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
    DISPATCH(dy, adaptive_avg_pool2d_backward, dy, dx, m);
    return {dx};
  });
}

}  // namespace rmt
