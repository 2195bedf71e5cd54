// The exponential function:   y = e^x;   dx = dy y
#include "ops/exp.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // exp.cu
template <class T>
void exp_forward(const T* x, T* y, int64_t n);
template <class T>
void exp_backward(const T* y, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// simd::exp stays at e^88.37, its largest power of 2. From 88 on this is e e^(x - 1), which becomes
// infinite where it must.
inline Vec<float> exp_to_infinity(Vec<float> x) {
  const float e = 2.71828183f;
  return simd::exp(x > 88 ? x - 1 : x) * (x > 88 ? simd::broadcast(e) : simd::broadcast(1.f));
}
inline Vec<double> exp_to_infinity(Vec<double> x) { return simd::exp(x); }

template <class T>
void exp_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = exp_to_infinity(x[i]); });
}

template <class T>
void exp_backward(View<const T> y, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { dx[i] = dy[i] * y[i]; });
}

}  // namespace
}  // namespace cpu

Tensor ops::exp(const Tensor& x) {
  expect_defined("exp", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, exp_forward, x, y, x.numel());
  return record("exp", y, {x}, [y = y.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(y);
    DISPATCH(dy, exp_backward, y, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
