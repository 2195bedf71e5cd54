// GELU: x times the probability that a normally distributed number is less than x.
//
//   y = x Phi(x),                  Phi(x) = (1 + erf(x / sqrt 2)) / 2
//   dx = dy (Phi(x) + x phi(x)),   phi(x) = Phi'(x) = exp(-x^2 / 2) / sqrt(2 pi)
#include "ops/gelu.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // gelu.cu
template <class T>
void gelu_forward(const T* x, T* y, int64_t n);
template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// Phi and phi together, for they share exp(-x^2 / 2).
template <class T>
struct Normal {
  Vec<T> cdf, pdf;
};

// 1 - Phi(a) = t P(t) exp(-a^2 / 2) with t = 1 / (1 + 0.325 a) for a >= 0 (the form of Abramowitz
// and Stegun 7.1.26). P has degree 6 and was fitted for the least maximal error, 1.5e-9, so that
// rounding dominates.
inline Normal<float> normal(Vec<float> x) {
  const Vec<float> a = x < 0 ? -x : x;
  const Vec<float> e = simd::exp(-0.5f * x * x);
  const Vec<float> t = 1.f / (1.f + 0.325f * a);
  Vec<float> p = t * 0.04511346739f - 0.2277843857f;
  p = p * t + 0.362716394f;
  p = p * t - 0.1192167157f;
  p = p * t + 0.1943451475f;
  p = p * t + 0.1138504325f;
  p = p * t + 0.1309756604f;
  const Vec<float> tail = t * p * e;
  return {x < 0 ? tail : 1.f - tail, e * 0.3989422804f};
}

inline Normal<double> normal(Vec<double> x) {
  Normal<double> n;
  for (int i = 0; i < simd::lanes<double>; ++i) {
    n.cdf[i] = 0.5 * std::erfc(-x[i] * 0.70710678118654752440);
    n.pdf[i] = 0.39894228040143267794 * std::exp(-0.5 * x[i] * x[i]);
  }
  return n;
}

template <class T>
void gelu_forward(View<const T> x, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = x[i] * normal(x[i]).cdf; });
}

template <class T>
void gelu_backward(View<const T> x, View<const T> dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) {
    const auto [cdf, pdf] = normal(x[i]);
    dx[i] = dy[i] * (cdf + x[i] * pdf);
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::gelu(const Tensor& x) {
  CHECK(x.defined(), "gelu: x is undefined");
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, gelu_forward, x, y, x.numel());
  return record("gelu", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH(x, gelu_backward, x, dy, dx, x.numel());
    return {dx};
  });
}

}  // namespace rmt
