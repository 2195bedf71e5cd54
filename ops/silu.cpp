// SiLU, also called Swish:
//
//   y = x s,   s = 1 / (1 + exp(-x));   dx = dy s (1 + x (1 - s))
#include "ops/silu.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // silu.cu
template <class T>
void silu_forward(const T* x, T* y, int64_t n);
template <class T>
void silu_backward(const T* x, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
void silu_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = x[i] / (T(1) + simd::exp(-x[i])); });
}

template <class T>
void silu_backward(View<const T> x, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) {
    const Vec<T> s = T(1) / (T(1) + simd::exp(-x[i]));
    dx[i] = dy[i] * s * (T(1) + x[i] * (T(1) - s));
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::silu(const Tensor& x) {
  expect_defined("silu", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, silu_forward, x, y, x.numel());
  return record("silu", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH(x, silu_backward, x, dy, dx, x.numel());
    return {dx};
  });
}

}  // namespace rmt
