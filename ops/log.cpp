// The natural logarithm:   y = log(x);   dx = dy / x
#include "ops/log.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // log.cu
template <class T>
void log_forward(const T* x, T* y, int64_t n);
template <class T>
void log_backward(const T* x, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void log_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = simd::log(x[i]); });
}

template <class T>
void log_backward(View<const T> x, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { dx[i] = dy[i] / x[i]; });
}

}  // namespace
}  // namespace cpu

Tensor ops::log(const Tensor& x) {
  expect_defined("log", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, log_forward, x, y, x.numel());
  return record("log", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH(dy, log_backward, x, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
