// The rectified linear unit:   y = max(x, 0);   dx = dy where x > 0, else 0
//
// x > 0 is y > 0: backward needs y, which the next op keeps as well.
#include "ops/relu.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // relu.cu
template <class T>
void relu_forward(const T* x, T* y, int64_t n);
template <class T>
void relu_backward(const T* y, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
void relu_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) {
    const Vec<T> v = x[i];
    y[i] = v < 0 ? Vec<T>{} : v;
  });
}

template <class T>
void relu_backward(View<const T> y, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { dx[i] = y[i] > 0 ? dy[i] : Vec<T>{}; });
}

}  // namespace
}  // namespace cpu

Tensor ops::relu(const Tensor& x) {
  expect_defined("relu", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, relu_forward, x, y, x.numel());
  return record("relu", y, {x}, [y = y.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(y);
    DISPATCH(dy, relu_backward, y, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
