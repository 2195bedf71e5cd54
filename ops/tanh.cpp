// The hyperbolic tangent:   y = tanh(x);   dx = dy (1 - y^2)
//
// 1 - y^2 is 4 e / (1 + e)^2 with e = exp(-2 |x|): no difference of almost equal numbers, and not
// from y, which in bf16 is soon rounded to 1.
#include "ops/tanh.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // tanh.cu
template <class T>
void tanh_forward(const T* x, T* y, int64_t n);
template <class T>
void tanh_backward(const T* x, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// With e = exp(2 |x|), tanh |x| = 1 - 2 / (e + 1), which is 1 where e is infinite. Near 0 that
// would be a difference of almost equal numbers; there x / (1 + x^2 / (3 + x^2 / (5 + ...))),
// Lambert's fraction, up to its 9: below 0.75 right to 6e-9 of it.
inline Vec<float> tangent(Vec<float> x) {
  const Vec<float> size = x < 0 ? -x : x, q = x * x;
  const Vec<float> far = 1 - 2 / (simd::exp(size + size) + 1);
  const Vec<float> near = x * (945 + q * (105 + q)) / (945 + q * (420 + q * 15));
  return size < 0.75f ? near : x < 0 ? -far : far;
}
inline Vec<double> tangent(Vec<double> x) {
  for (int i = 0; i < simd::lanes<double>; ++i) x[i] = std::tanh(x[i]);
  return x;
}

template <class T>
void tanh_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = tangent(x[i]); });
}

template <class T>
void tanh_backward(View<const T> x, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) {
    const Vec<T> e = simd::exp(T(2) * simd::min<T>(x[i], -x[i]));
    dx[i] = dy[i] * T(4) * e / simd::square(T(1) + e);
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::tanh(const Tensor& x) {
  expect_defined("tanh", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, tanh_forward, x, y, x.numel());
  return record("tanh", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH(x, tanh_backward, x, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
