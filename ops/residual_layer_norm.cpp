// A residual branch joins the trunk, and the sum is normalised for the next branch:
// residual_add.cpp and layer_norm.cpp with one look at each row.
//
//   sum = x + s_b gamma_c f,   normed = (sum - mean) rstd w + bias
//
// Backward: the gradient of layer_norm with that of sum added as it is written, and from there that
// of residual_add; without gamma, df = s_b dsum is written in the same pass.
#include "ops/residual_layer_norm.h"

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/residual_layer_norm.h"
#include "ops/residual_layer_norm.h"

namespace rmt {
namespace gpu {  // residual_layer_norm.cu
template <class T>
void residual_layer_norm_forward(const T* x, const T* f, const Wide<T>* gamma, const Wide<T>* s,
                                 const Wide<T>* w, const Wide<T>* bias, T* sum, T* normed,
                                 Wide<T>* mean, Wide<T>* rstd, int64_t B, int64_t R, int64_t C,
                                 double eps);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// B samples of R rows of C columns. gamma and s may be null: 1.
template <class T>
void residual_layer_norm_forward(View<const T> x, View<const T> f, View<const T> gamma, const T* s,
                                 View<const T> w, View<const T> bias, View<T> sum, View<T> normed,
                                 T* means, T* rstds, int64_t B, int64_t R, int64_t C, double eps) {
  simd::for_each_row(B * R, C, [=](int64_t r) {
    const Vec<T> scale = simd::broadcast<T>(s ? s[r / R] : T(1));
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> factor = gamma ? scale * gamma[c] : scale;
      sum(r, c) = x(r, c) + factor * f(r, c);
    });
    const auto [mean, rstd] = normalize_row<T>(r, sum, w, bias, normed, C, eps);
    means[r] = mean;
    rstds[r] = rstd;
  });
}

}  // namespace
}  // namespace cpu

// x f (B, ..., C), gamma C elements, s (B), w bias (C)
ops::ResidualNorm ops::residual_layer_norm(const Tensor& x, const Tensor& f, const Tensor& gamma,
                                           const Tensor& s, const Tensor& w, const Tensor& bias,
                                           double eps) {
  const char* op = "residual_layer_norm";
  const int64_t C = expect_columns(op, "x", x);
  CHECK(x.rank() >= 2, op, ": x is ", x.shape(), ", expected (B, ..., C)");
  const int64_t B = x.dim(0), R = B ? x.numel() / (B * C) : 0;
  const DType parameter = wide(x.dtype());
  expect(op, "f", f, x.shape(), x.dtype());
  CHECK(!gamma.defined() || (gamma.numel() == C && gamma.dtype() == parameter), op, ": gamma is ",
        gamma.dtype(), " ", gamma.shape(), ", expected ", C, " elements of ", parameter);
  if (s.defined()) expect(op, "s", s, {B}, parameter);
  CHECK(!needs_grad(s), op, ": s has no gradient; detach() it");
  expect(op, "w", w, {C}, parameter);
  expect(op, "bias", bias, {C}, parameter);
  const Tensor sum = Tensor::empty_like(x), normed = Tensor::empty_like(x);
  const Tensor mean = Tensor::empty({B * R}, parameter, x.device());
  const Tensor rstd = Tensor::empty_like(mean);
  DISPATCH(x, residual_layer_norm_forward, x, f, gamma, s, w, bias, sum, normed, mean, rstd, B, R,
           C, eps);
  const auto y = record_many(
      "residual_layer_norm", {sum, normed}, {x, f, gamma, w, bias},
      [through_norm = layer_norm_gradients(sum, w, mean, rstd, needs_grad({x, f, gamma})),
       through_sum = residual_add_gradients(f, gamma, s),
       s_alone = gamma.defined() || !needs_grad(f) ? Tensor() : s.detach()](
          const std::vector<Tensor>& dys) -> Grads {
        if (!dys[1].defined()) {
          const Grads g = through_sum(dys[0]);
          return {g[0], g[1], g[2], Tensor(), Tensor()};
        }
        const Grads norm = through_norm(dys[1], dys[0], s_alone);
        if (!norm[0].defined()) return {Tensor(), Tensor(), Tensor(), norm[1], norm[2]};
        if (norm[3].defined()) return {norm[0], norm[3], Tensor(), norm[1], norm[2]};
        const Grads sum_gradients = through_sum(norm[0]);
        return {sum_gradients[0], sum_gradients[1], sum_gradients[2], norm[1], norm[2]};
      });
  return {y[0], y[1]};
}

}  // namespace rmt
