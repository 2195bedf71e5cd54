// y = z w + bias,  z = (x - mean) rstd,  rstd = (var + eps)^-1/2, mean and var of each column over
// the M rows, or given dw = sum over rows of dy z,  dbias = sum over rows of dy;   dx = w rstd (dy
// - dbias / M - z dw / M), or w rstd dy when mean and var are given
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

using simd::Vec;

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

// Mean and biased variance of each column of x (M, C) in one pass over memory: blocks of R rows,
// which stay in L2 for the pass that needs their mean, merged in double into up to 16 fixed parts,
// and these in order.
template <class T>
void batch_norm_statistics(const T* x, T* mean, T* var, int64_t M, int64_t C) {
  const int64_t R = std::min<int64_t>(256, simd::row_grain(C)), parts = part_count(M, R);
  std::vector<double> means(size_t(parts * C)), squares(size_t(parts * C));
  parallel_for(parts, 1, [&](int64_t p, int64_t) {
    std::vector<T> sums(size_t(2 * C));
    T *m = sums.data(), *q = m + C;
    const int64_t first = part_begin(M, parts, p), last = part_begin(M, parts, p + 1);
    for (int64_t begin = first; begin < last; begin += R) {
      const int64_t end = std::min(begin + R, last);
      std::fill(sums.begin(), sums.end(), T(0));
      for (int64_t i = begin * C; i < end * C; i += C)
        simd::for_columns<T>(C, [&](int64_t c, auto count) {
          simd::store<T>(m + c, simd::load(m + c, count) + simd::load(x + i + c, count), count);
        });
      for (int64_t c = 0; c < C; ++c) m[c] /= T(end - begin);
      for (int64_t i = begin * C; i < end * C; i += C)
        simd::for_columns<T>(C, [&](int64_t c, auto count) {
          Vec<T> d = simd::load(x + i + c, count) - simd::load(m + c, count);
          simd::store<T>(q + c, simd::load(q + c, count) + d * d, count);
        });
      merge(begin - first, &means[size_t(p * C)], &squares[size_t(p * C)], end - begin, m, q, C);
    }
  });
  for (int64_t p = 1; p < parts; ++p) {
    const int64_t n = part_begin(M, parts, p), k = part_begin(M, parts, p + 1) - n;
    merge(n, means.data(), squares.data(), k, &means[size_t(p * C)], &squares[size_t(p * C)], C);
  }
  for (int64_t c = 0; c < C; ++c)
    mean[c] = T(means[size_t(c)]), var[c] = T(squares[size_t(c)] / double(M));
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
void batch_norm_forward(const T* x, const T* w, const T* bias, const T* mean, const T* var, T* rstd,
                        T* y, int64_t M, int64_t C, double eps) {
  std::vector<T> scales(static_cast<size_t>(C));
  T* scale = scales.data();
  for (int64_t c = 0; c < C; ++c)
    rstd[c] = T(1 / std::sqrt(double(var[c]) + eps)), scale[c] = w[c] * rstd[c];
  simd::for_rows(M, C, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * C; i < end * C; i += C)
      simd::for_columns<T>(C, [&](int64_t c, auto count) {
        Vec<T> d = simd::load(x + i + c, count) - simd::load(mean + c, count);
        simd::store<T>(y + i + c, d * simd::load(scale + c, count) + simd::load(bias + c, count),
                       count);
      });
  });
}

// dx may be null. given: mean and var do not depend on x.
template <class T>
void batch_norm_backward(const T* x, const T* w, const T* mean, const T* rstd, const T* dy, T* dx,
                         T* dw, T* dbias, int64_t M, int64_t C, bool given) {
  std::vector<double> sums =
      simd::sum_rows<T>(M, C, 2 * C, [=](int64_t begin, int64_t end, T* part) {
        for (int64_t i = begin * C; i < end * C; i += C)
          simd::for_columns<T>(C, [&](int64_t c, auto count) {
            Vec<T> g = simd::load(dy + i + c, count),
                   d = simd::load(x + i + c, count) - simd::load(mean + c, count);
            simd::store<T>(part + c, simd::load(part + c, count) + g * d, count);
            simd::store<T>(part + C + c, simd::load(part + C + c, count) + g, count);
          });
      });
  std::vector<T> factors(size_t(3 * C));  // dx = a (dy - b - (x - mean) k)
  T *a = factors.data(), *b = a + C, *k = b + C;
  for (int64_t c = 0; c < C; ++c) {
    dw[c] = T(sums[size_t(c)] * double(rstd[c])), dbias[c] = T(sums[size_t(C + c)]);
    a[c] = w[c] * rstd[c];
    if (!given) b[c] = dbias[c] / T(M), k[c] = rstd[c] * dw[c] / T(M);
  }
  if (!dx) return;
  simd::for_rows(M, C, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * C; i < end * C; i += C)
      simd::for_columns<T>(C, [&](int64_t c, auto count) {
        Vec<T> d = simd::load(x + i + c, count) - simd::load(mean + c, count);
        Vec<T> g =
            simd::load(dy + i + c, count) - simd::load(b + c, count) - d * simd::load(k + c, count);
        simd::store<T>(dx + i + c, simd::load(a + c, count) * g, count);
      });
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var,
                       const BatchNormOptions& o) {  // x (..., C), the others (C)
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
  Tensor y = Tensor::empty_like(x), mean = Tensor::empty_like(w), var = Tensor::empty_like(mean),
         rstd = Tensor::empty_like(mean);
  if (o.training) {
    DISPATCH(x, batch_norm_statistics, x, mean, var, M, C);
    if (running)
      DISPATCH(x, batch_norm_track, mean, var, running_mean, running_var, M, C, o.momentum);
  } else {
    mean.copy_from(running_mean), var.copy_from(running_var);
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
