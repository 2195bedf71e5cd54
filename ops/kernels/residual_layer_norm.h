// What layer_norm and residual_add share with the op that is both, residual_layer_norm: how a row
// is normalised on the CPU (on the GPU: layer_norm.cuh), and the gradients. Internal to ops/.
#pragma once
#include "autograd/tape.h"
#include "core/rows.h"

namespace rmt {

namespace cpu {

template <class T>
struct Moments {
  T mean, rstd;
};

// y_rc = (x_rc - mean) rstd w_c + bias_c for row r of C columns, which is in the first-level cache
// after its first pass. The variance is that of x - mean, for E[x^2] - E[x]^2 would cancel.
template <class T>
Moments<T> normalize_row(int64_t r, simd::View<const T> x, simd::View<const T> w,
                         simd::View<const T> bias, simd::View<T> y, int64_t C, double eps) {
  const T mean = simd::sum_columns<T>(C, [&](auto c) { return x(r, c); }) / T(C);
  const T var =
      simd::sum_columns<T>(C, [&](auto c) { return simd::square(x(r, c) - mean); }) / T(C);
  const T rstd = 1 / std::sqrt(var + T(eps));
  simd::for_columns<T>(C, [&](auto c) { y(r, c) = (x(r, c) - mean) * rstd * w[c] + bias[c]; });
  return {mean, rstd};
}

}  // namespace cpu

// Of y = x + s_b gamma_c f: dy -> dx, df, dgamma. Which of them are needed is decided now, when the
// op is recorded.
Backward residual_add_gradients(const Tensor& f, const Tensor& gamma, const Tensor& s);

// Of y = layer_norm(x), given the mean and rstd of each row: (dy, more, s) -> dx + more, dw, dbias,
// s_b (dx + more), where `more` is like x, or undefined: 0, and s (B) or undefined: then the last
// is too.
using LayerNormGradients =
    std::function<Grads(const Tensor& dy, const Tensor& more, const Tensor& s)>;
LayerNormGradients layer_norm_gradients(const Tensor& x, const Tensor& w, const Tensor& mean,
                                        const Tensor& rstd, bool needs_dx);

}  // namespace rmt
