// Layer normalisation: each row with mean 0 and variance 1, then a scale and a shift a column.
// Derived in ops/README.md.
//
//   y = z w + bias,   z = (x - mean) rstd,   rstd = (var + eps)^-1/2
//   dx = rstd (g - mean(g) - z mean(g z)),   g = dy w
//   dw = sum over rows of dy z,   dbias = sum over rows of dy
//
// where mean, var, mean(g) and mean(g z) are over the C columns of a row.
#include "ops/layer_norm.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/residual_layer_norm.h"

namespace rmt {
namespace gpu {  // layer_norm.cu
template <class T>
void layer_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Wide<T>* mean,
                        Wide<T>* rstd, int64_t rows, int64_t C, double eps);
template <class T>
void layer_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, const T* more, const Wide<T>* s, T* dx, T* df, Wide<T>* dw,
                         Wide<T>* dbias, int64_t rows, int64_t R, int64_t C);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
void layer_norm_forward(View<const T> x, View<const T> w, View<const T> bias, View<T> y, T* means,
                        T* rstds, int64_t rows, int64_t C, double eps) {
  simd::for_each_row(rows, C, [=](int64_t r) {
    const auto [mean, rstd] = normalize_row<T>(r, x, w, bias, y, C, eps);
    means[r] = mean;
    rstds[r] = rstd;
  });
}

// dx + more, dw and dbias in one pass over x and dy, and df = s_b (dx + more) where R rows are one
// sample. dx and df may be null, and more: 0.
template <class T>
void layer_norm_backward(View<const T> x, View<const T> w, const T* means, const T* rstds,
                         View<const T> dy, View<const T> more, const T* s, View<T> dx, View<T> df,
                         T* dw, T* dbias, int64_t rows, int64_t R, int64_t C) {
  // sums (2, C): dw and dbias.
  const auto add_row = [=](int64_t r, View<T> sums) {
    const T mean = means[r], rstd = rstds[r];
    Vec<T> sum_g{}, sum_gz{};
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> z = (x(r, c) - mean) * rstd, dw_r = dy(r, c) * z;
      sum_g += dy(r, c) * w[c];
      sum_gz += dw_r * w[c];
      sums(0, c) += dw_r;
      sums(1, c) += dy(r, c);
    });
    if (!dx) return;
    const T mean_g = simd::sum(sum_g) / T(C), mean_gz = simd::sum(sum_gz) / T(C);
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> g = dy(r, c) * w[c], z = (x(r, c) - mean) * rstd;
      dx(r, c) = rstd * (g - mean_g - z * mean_gz);
    });
    if (more) simd::for_columns<T>(C, [&](auto c) { dx(r, c) += more(r, c); });
    if (!df) return;
    const T scale = s[r / R];
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> d = dx(r, c);
      df(r, c) = scale * d;
    });
  };
  const std::vector<double> sums = simd::sum_rows<T>(rows, C, 2 * C, add_row);
  std::copy_n(sums.begin(), C, dw);
  std::copy_n(sums.begin() + C, C, dbias);
}

}  // namespace
}  // namespace cpu

LayerNormGradients layer_norm_gradients(const Tensor& x, const Tensor& w, const Tensor& mean,
                                        const Tensor& rstd, bool needs_dx) {
  return [x = x.detach(), w = w.detach(), mean, rstd, needs_dx](
             const Tensor& dy, const Tensor& more, const Tensor& s) -> Grads {
    Tensor dx = needs_dx ? Tensor::empty_like(x) : Tensor(), dw = Tensor::empty_like(w),
           dbias = Tensor::empty_like(w), df = s.defined() ? Tensor::empty_like(x) : Tensor();
    const int64_t rows = mean.numel(), R = s.numel() ? rows / s.numel() : 1;
    DISPATCH(x, layer_norm_backward, x, w, mean, rstd, dy, more, s, dx, df, dw, dbias, rows, R,
             w.numel());
    return {dx, dw, dbias, df};
  };
}

namespace {

struct Normed {
  Tensor y;
  LayerNormGradients gradients;
};

// x (..., C), w bias (C)
Normed normalize(const Tensor& x, const Tensor& w, const Tensor& bias, double eps) {
  const int64_t C = expect_columns("layer_norm", "x", x), rows = x.numel() / C;
  expect("layer_norm", "w", w, {C}, wide(x.dtype()));
  expect("layer_norm", "bias", bias, {C}, wide(x.dtype()));
  const Tensor y = Tensor::empty_like(x);
  const Tensor mean = Tensor::empty({rows}, w.dtype(), x.device());
  const Tensor rstd = Tensor::empty_like(mean);
  DISPATCH(x, layer_norm_forward, x, w, bias, y, mean, rstd, rows, C, eps);
  return {y, layer_norm_gradients(x, w, mean, rstd, needs_grad(x))};
}

}  // namespace

Tensor ops::layer_norm(const Tensor& x, const Tensor& w, const Tensor& bias, double eps) {
  const Normed normed = normalize(x, w, bias, eps);
  return record("layer_norm", normed.y, {x, w, bias},
                [gradients = normed.gradients](const Tensor& dy) -> Grads {
                  const Grads g = gradients(dy, {}, {});
                  return {g[0], g[1], g[2]};
                });
}

std::array<Tensor, 2> ops::layer_norm_beside(const Tensor& x, const Tensor& w, const Tensor& bias,
                                             double eps) {
  const Normed normed = normalize(x, w, bias, eps);
  const auto y =
      record_many("layer_norm_beside", {x.detach(), normed.y}, {x, w, bias},
                  [gradients = normed.gradients](const std::vector<Tensor>& dys) -> Grads {
                    if (!dys[1].defined()) return {dys[0], {}, {}};
                    const Grads g = gradients(dys[1], dys[0], {});
                    return {g[0], g[1], g[2]};
                  });
  return {y[0], y[1]};
}

}  // namespace rmt
