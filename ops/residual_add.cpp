// One branch of a residual block joins its trunk, scaled by LayerScale (gamma_c, a number a
// channel) and stochastic depth (s_b, a number a sample).
//
//   y = x + s_b gamma_c f
//   dx = dy,   df = s_b gamma_c dy,   dgamma_c = sum over rows of s_b f dy
#include "ops/residual_add.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/residual_layer_norm.h"
#include "ops/residual_layer_norm.h"

namespace rmt {
namespace gpu {  // residual_add.cu
template <class T>
void residual_add_forward(const T* x, const T* f, const Wide<T>* gamma, const Wide<T>* s, T* y,
                          int64_t B, int64_t R, int64_t C);
template <class T>
void residual_add_backward(const T* f, const Wide<T>* gamma, const Wide<T>* s, const T* dy, T* df,
                           Wide<T>* dgamma, int64_t B, int64_t R, int64_t C);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// B samples of R rows of C columns. gamma and s may be null: 1.
template <class T>
void residual_add_forward(View<const T> x, View<const T> f, View<const T> gamma, const T* s,
                          View<T> y, int64_t B, int64_t R, int64_t C) {
  simd::for_each_row(B * R, C, [=](int64_t r) {
    const Vec<T> scale = simd::broadcast<T>(s ? s[r / R] : T(1));
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> factor = gamma ? scale * gamma[c] : scale;
      y(r, c) = x(r, c) + factor * f(r, c);
    });
  });
}

// df and dgamma in one pass over dy and f; each may be null, and f too when dgamma is.
template <class T>
void residual_add_backward(View<const T> f, View<const T> gamma, const T* s, View<const T> dy,
                           View<T> df, T* dgamma, int64_t B, int64_t R, int64_t C) {
  const auto add_row = [=](int64_t r, View<T> sums) {
    const T scale = s ? s[r / R] : T(1);
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> g = scale * dy(r, c);
      if (dgamma) sums[c] += g * f(r, c);
      if (df) df(r, c) = gamma ? g * gamma[c] : g;
    });
  };
  const std::vector<double> sums = simd::sum_rows<T>(B * R, C, dgamma ? C : 0, add_row);
  if (dgamma) std::copy_n(sums.begin(), C, dgamma);
}

}  // namespace
}  // namespace cpu

Backward residual_add_gradients(const Tensor& f, const Tensor& gamma, const Tensor& s) {
  if (!gamma.defined() && !s.defined())
    return [](const Tensor& dy) -> Grads { return {dy, dy, Tensor()}; };
  const bool needs_df = needs_grad(f), needs_dgamma = needs_grad(gamma);
  return [f = needs_dgamma ? f.detach() : Tensor(), gamma = gamma.detach(), s = s.detach(),
          needs_df](const Tensor& dy) -> Grads {
    const Tensor df = needs_df ? Tensor::empty_like(dy) : Tensor();
    const Tensor dgamma = f.defined() ? Tensor::empty_like(gamma) : Tensor();
    const int64_t B = dy.dim(0), C = dy.shape()[-1], R = B ? dy.numel() / (B * C) : 0;
    DISPATCH(dy, residual_add_backward, f, gamma, s, dy, df, dgamma, B, R, C);
    return {dy, df, dgamma};
  };
}

// x f (B, ..., C), gamma C elements, s (B)
Tensor ops::residual_add(const Tensor& x, const Tensor& f, const Tensor& gamma, const Tensor& s) {
  const int64_t C = expect_columns("residual_add", "x", x);
  CHECK(x.rank() >= 2, "residual_add: x is ", x.shape(), ", expected (B, ..., C)");
  const int64_t B = x.dim(0), R = B ? x.numel() / (B * C) : 0;
  expect("residual_add", "f", f, x.shape(), x.dtype());
  CHECK(!gamma.defined() || (gamma.numel() == C && gamma.dtype() == wide(x.dtype())),
        "residual_add: gamma is ", gamma.dtype(), " ", gamma.shape(), ", expected ", C,
        " elements of ", wide(x.dtype()));
  if (s.defined()) expect("residual_add", "s", s, {B}, wide(x.dtype()));
  CHECK(!needs_grad(s), "residual_add: s has no gradient; detach() it");
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, residual_add_forward, x, f, gamma, s, y, B, R, C);
  return record("residual_add", y, {x, f, gamma}, residual_add_gradients(f, gamma, s));
}

}  // namespace rmt
