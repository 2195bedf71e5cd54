// Batch normalisation: each column with mean 0 and variance 1 over the M rows, then a scale and a
// shift.
//
//   y = z w + bias,   z = (x - mean) rstd,   rstd = (var + eps)^-1/2
//   dw = sum over rows of dy z,   dbias = sum over rows of dy
//   dx = w rstd (dy - dbias / M - z dw / M),   or w rstd dy when mean and var are given
#include "ops/batch_norm.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // batch_norm.cu
template <class T>
void batch_norm_statistics(const T* x, Wide<T>* mean, Wide<T>* var, int64_t M, int64_t C);
template <class T>
void batch_norm_track(const Wide<T>* mean, const Wide<T>* var, Wide<T>* running_mean,
                      Wide<T>* running_var, int64_t M, int64_t C, double momentum);
template <class T>
void batch_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, const Wide<T>* mean,
                        const Wide<T>* var, Wide<T>* rstd, T* y, int64_t M, int64_t C, double eps);
template <class T>
void batch_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, T* dx, Wide<T>* dw, Wide<T>* dbias, int64_t M, int64_t C,
                         bool given);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

// Mean and sum of squares around it, of n rows and of k more -> of all n + k, for each column
// (Chan, Golub, LeVeque 1979).
template <class T>
void merge(int64_t n, double* mean, double* squares, int64_t k, const T* more_mean,
           const T* more_squares, int64_t C) {
  const double share = double(k) / double(n + k);
  for (int64_t c = 0; c < C; ++c) {
    const double d = double(more_mean[c]) - mean[c];
    mean[c] += d * share;
    squares[c] += double(more_squares[c]) + d * d * double(n) * share;
  }
}

// The same of the rows [begin, end) of x, which stay in the second-level cache for the pass that
// needs their mean.
template <class T>
void moments(View<const T> x, int64_t begin, int64_t end, T* means, View<T> squares, int64_t C) {
  const View<T> sums = means;
  for (int64_t r = begin; r < end; ++r)
    simd::for_columns<T>(C, [&](auto c) { sums[c] += x(r, c); });
  for (int64_t c = 0; c < C; ++c) means[c] /= T(end - begin);
  const View<const T> mean = means;
  for (int64_t r = begin; r < end; ++r)
    simd::for_columns<T>(C, [&](auto c) { squares[c] += simd::square(x(r, c) - mean[c]); });
}

// Mean and biased variance of each column of x (M, C) in one pass over memory: blocks of rows are
// merged in double into up to 16 fixed parts, and these in order.
template <class T>
void batch_norm_statistics(View<const T> x, T* mean, T* var, int64_t M, int64_t C) {
  const int64_t block = std::min<int64_t>(256, simd::row_grain(C)), parts = part_count(M, block);
  std::vector<double> means(parts * C), squares(parts * C);
  parallel_for(parts, 1, [&](int64_t p, int64_t) {
    std::vector<T> m(C), q(C);
    const int64_t first = part_begin(M, parts, p), last = part_begin(M, parts, p + 1);
    for (int64_t begin = first; begin < last; begin += block) {
      const int64_t end = std::min(begin + block, last);
      std::fill(m.begin(), m.end(), T(0));
      std::fill(q.begin(), q.end(), T(0));
      moments<T>(x, begin, end, m.data(), q.data(), C);
      merge(begin - first, &means[p * C], &squares[p * C], end - begin, m.data(), q.data(), C);
    }
  });
  for (int64_t p = 1; p < parts; ++p) {
    const int64_t n = part_begin(M, parts, p), k = part_begin(M, parts, p + 1) - n;
    merge(n, means.data(), squares.data(), k, &means[p * C], &squares[p * C], C);
  }
  for (int64_t c = 0; c < C; ++c) {
    mean[c] = T(means[c]);
    var[c] = T(squares[c] / double(M));
  }
}

template <class T>
void batch_norm_track(const T* mean, const T* var, T* running_mean, T* running_var, int64_t M,
                      int64_t C, double momentum) {
  for (int64_t c = 0; c < C; ++c) {
    running_mean[c] = T((1 - momentum) * double(running_mean[c]) + momentum * double(mean[c]));
    running_var[c] = T((1 - momentum) * double(running_var[c]) +
                       momentum * double(var[c]) * double(M) / double(M - 1));
  }
}

template <class T>
void batch_norm_forward(View<const T> x, const T* w, View<const T> bias, View<const T> mean,
                        const T* var, T* rstd, View<T> y, int64_t M, int64_t C, double eps) {
  std::vector<T> w_rstd(C);
  for (int64_t c = 0; c < C; ++c) {
    rstd[c] = T(1 / std::sqrt(double(var[c]) + eps));
    w_rstd[c] = w[c] * rstd[c];
  }
  const View<const T> scale = w_rstd.data();
  simd::for_each_row(M, C, [=](int64_t r) {
    simd::for_columns<T>(C, [&](auto c) { y(r, c) = (x(r, c) - mean[c]) * scale[c] + bias[c]; });
  });
}

// dx may be null. given: mean and var do not depend on x.
template <class T>
void batch_norm_backward(View<const T> x, const T* w, View<const T> mean, const T* rstd,
                         View<const T> dy, View<T> dx, T* dw, T* dbias, int64_t M, int64_t C,
                         bool given) {
  // sums (2, C): of dy (x - mean), and of dy.
  const auto add_row = [=](int64_t r, View<T> sums) {
    simd::for_columns<T>(C, [&](auto c) {
      sums(0, c) += dy(r, c) * (x(r, c) - mean[c]);
      sums(1, c) += dy(r, c);
    });
  };
  const std::vector<double> sums = simd::sum_rows<T>(M, C, 2 * C, add_row);
  // dx = scale (dy - mean_dy - (x - mean) slope)
  std::vector<T> scales(C), mean_dys(C), slopes(C);
  for (int64_t c = 0; c < C; ++c) {
    dw[c] = T(sums[c] * double(rstd[c]));
    dbias[c] = T(sums[C + c]);
    scales[c] = w[c] * rstd[c];
    mean_dys[c] = given ? T(0) : dbias[c] / T(M);
    slopes[c] = given ? T(0) : rstd[c] * dw[c] / T(M);
  }
  if (!dx) return;
  const View<const T> scale = scales.data(), mean_dy = mean_dys.data(), slope = slopes.data();
  simd::for_each_row(M, C, [=](int64_t r) {
    simd::for_columns<T>(C, [&](auto c) {
      dx(r, c) = scale[c] * (dy(r, c) - mean_dy[c] - (x(r, c) - mean[c]) * slope[c]);
    });
  });
}

}  // namespace
}  // namespace cpu

// x (..., C), the others (C)
Tensor ops::batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var,
                       const BatchNormOptions& o) {
  const int64_t C = expect_columns("batch_norm", "x", x), M = x.numel() / C;
  const bool running = running_mean.defined() || running_var.defined();
  expect("batch_norm", "w", w, {C}, wide(x.dtype()));
  expect("batch_norm", "bias", bias, {C}, w.dtype());
  if (running || !o.training) {
    expect("batch_norm", "running_mean", running_mean, {C}, w.dtype());
    expect("batch_norm", "running_var", running_var, {C}, w.dtype());
  }
  CHECK(!o.training || M > 1, "batch_norm: training needs more than one row for a variance, x is ",
        x.shape(), "; use a larger batch or evaluation mode");
  const Tensor y = Tensor::empty_like(x);
  const Tensor mean = Tensor::empty_like(w), var = Tensor::empty_like(w);
  const Tensor rstd = Tensor::empty_like(w);
  if (o.training) {
    DISPATCH(x, batch_norm_statistics, x, mean, var, M, C);
    if (running)
      DISPATCH(x, batch_norm_track, mean, var, running_mean, running_var, M, C, o.momentum);
  } else {
    mean.copy_from(running_mean);
    var.copy_from(running_var);
  }
  DISPATCH(x, batch_norm_forward, x, w, bias, mean, var, rstd, y, M, C, o.eps);
  return record("batch_norm", y, {x, w, bias},
                [x = x.detach(), w = w.detach(), mean, rstd, M, C, given = !o.training,
                 needs_dx = needs_grad(x)](const Tensor& dy) -> Grads {
                  Tensor dx = needs_dx ? Tensor::empty_like(x) : Tensor(),
                         dw = Tensor::empty_like(w), dbias = Tensor::empty_like(w);
                  DISPATCH(x, batch_norm_backward, x, w, mean, rstd, dy, dx, dw, dbias, M, C,
                           given);
                  return {dx, dw, dbias};
                });
}

}  // namespace rmt
