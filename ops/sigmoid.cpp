// The logistic function:   y = 1 / (1 + exp(-x));   dx = dy y (1 - y)
//
// Where exp(-x) is infinite y is 0, as it should be. y (1 - y) is e / (1 + e)^2 with e = exp(-|x|):
// no difference of almost equal numbers, and not from y, which in bf16 is soon rounded to 1.
#include "ops/sigmoid.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // sigmoid.cu
template <class T>
void sigmoid_forward(const T* x, T* y, int64_t n);
template <class T>
void sigmoid_backward(const T* x, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
void sigmoid_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = T(1) / (T(1) + simd::exp(-x[i])); });
}

template <class T>
void sigmoid_backward(View<const T> x, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) {
    const Vec<T> e = simd::exp(simd::min<T>(x[i], -x[i]));
    dx[i] = dy[i] * e / simd::square(T(1) + e);
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::sigmoid(const Tensor& x) {
  expect_defined("sigmoid", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, sigmoid_forward, x, y, x.numel());
  return record("sigmoid", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH(x, sigmoid_backward, x, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
