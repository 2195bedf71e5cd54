// The sum of all elements:   y = sum_i x_i;   dx_i = dy
#include "ops/sum.h"

#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/mean_loss.h"

namespace rmt {
namespace gpu {  // sum.cu
template <class T>
void sum_forward(const T* x, Wide<T>* y, int64_t n);
template <class T>
void sum_backward(const Wide<T>* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void sum_forward(View<const T> x, T* y, int64_t n) {
  *y = sum_loss<T>(n, 1, [=](auto i) { return x[i]; });
}

template <class T>
void sum_backward(const T* dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { dx[i] = simd::broadcast<T>(*dy); });
}

}  // namespace
}  // namespace cpu

Tensor ops::sum(const Tensor& x) {
  expect_defined("sum", "x", x);
  Tensor y = Tensor::empty({}, wide(x.dtype()), x.device());
  DISPATCH(x, sum_forward, x, y, x.numel());
  return record("sum", y, {x}, [shape = x.shape(), dtype = x.dtype()](const Tensor& dy) -> Grads {
    const Tensor dx = Tensor::empty(shape, dtype, dy.device());
    DISPATCH(dx, sum_backward, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
