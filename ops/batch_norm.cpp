// Batch normalisation: each column with mean 0 and variance 1 over the M rows, then a scale and a
// shift.
//
//   y = z w + bias,   z = (x - mean) rstd,   rstd = (var + eps)^-1/2
//   dw = sum over rows of dy z,   dbias = sum over rows of dy
//   dx = w rstd (dy - dbias / M - z dw / M),   or w rstd dy when mean and var are given
//
// Over several processes the rows of all of them are meant: by mean, var and M, and by dw and dbias
// in the formula of dx. Forward, each process gives the others its rows' mean and sum of squares
// around it; backward, its sums of dy (x - mean) and dy. What it returns for dw and dbias stays the
// sum over its own rows.
#include "ops/batch_norm.h"
#include "core/rows.h"
#include "ops/kernels/batch_norm.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
// R processes. moments (2 C + 1) of one: mean and sum of squares around it of each column, and the
// number of rows. sums (2, C) of one: of dy (x - mean), and of dy. rows (1): M.
namespace gpu {  // batch_norm.cu
template <class T>
void batch_norm_moments(const T* x, double* moments, int64_t M, int64_t C);
template <class T>
void batch_norm_statistics(const double* moments, Wide<T>* mean, Wide<T>* rstd, double* rows,
                           Wide<T>* running_mean, Wide<T>* running_var, int64_t R, int64_t C,
                           double eps, double momentum);
template <class T>
void batch_norm_given(const Wide<T>* var, Wide<T>* rstd, int64_t C, double eps);
template <class T>
void batch_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, const Wide<T>* mean,
                        const Wide<T>* rstd, T* y, int64_t M, int64_t C);
template <class T>
void batch_norm_sums(const T* x, const Wide<T>* mean, const T* dy, double* sums, int64_t M,
                     int64_t C);
template <class T>
void batch_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, const double* sums, const double* all_sums,
                         const double* rows, T* dx, Wide<T>* dw, Wide<T>* dbias, int64_t R,
                         int64_t M, int64_t C);
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

// moments (2 C + 1) of x (M, C) in one pass over memory: blocks of rows are merged in double into
// up to 16 fixed parts, and these in order.
template <class T>
void batch_norm_moments(View<const T> x, double* moments_of_x, int64_t M, int64_t C) {
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
  std::copy_n(means.begin(), C, moments_of_x);
  std::copy_n(squares.begin(), C, moments_of_x + C);
  moments_of_x[2 * C] = double(M);
}

// mean and rstd of all rows from the processes' moments (R, 2 C + 1), joined in the order of ranks;
// rows: how many there are. The running statistics move where there are any.
template <class T>
void batch_norm_statistics(const double* all, T* mean, T* rstd, double* rows, T* running_mean,
                           T* running_var, int64_t R, int64_t C, double eps, double momentum) {
  std::vector<double> m(all, all + 2 * C);
  double n = all[2 * C];
  for (int64_t r = 1; r < R; ++r) {
    const double *more = all + r * (2 * C + 1), k = more[2 * C];
    merge(int64_t(n), m.data(), m.data() + C, int64_t(k), more, more + C, C);
    n += k;
  }
  *rows = n;
  for (int64_t c = 0; c < C; ++c) {
    const T var = T(m[C + c] / n);
    mean[c] = T(m[c]);
    rstd[c] = T(1 / std::sqrt(double(var) + eps));
    if (!running_mean) continue;
    running_mean[c] = T((1 - momentum) * double(running_mean[c]) + momentum * double(mean[c]));
    running_var[c] =
        T((1 - momentum) * double(running_var[c]) + momentum * double(var) * n / (n - 1));
  }
}

template <class T>
void batch_norm_given(const T* var, T* rstd, int64_t C, double eps) {
  for (int64_t c = 0; c < C; ++c) rstd[c] = T(1 / std::sqrt(double(var[c]) + eps));
}

template <class T>
void batch_norm_forward(View<const T> x, const T* w, View<const T> bias, View<const T> mean,
                        const T* rstd, View<T> y, int64_t M, int64_t C) {
  std::vector<T> w_rstd(C);
  for (int64_t c = 0; c < C; ++c) w_rstd[c] = w[c] * rstd[c];
  const View<const T> scale = w_rstd.data();
  simd::for_each_row(M, C, [=](int64_t r) {
    simd::for_columns<T>(C, [&](auto c) { y(r, c) = (x(r, c) - mean[c]) * scale[c] + bias[c]; });
  });
}

// sums (2, C): of dy (x - mean), and of dy.
template <class T>
void batch_norm_sums(View<const T> x, View<const T> mean, View<const T> dy, double* sums, int64_t M,
                     int64_t C) {
  const auto add_row = [=](int64_t r, View<T> few) {
    simd::for_columns<T>(C, [&](auto c) {
      few(0, c) += dy(r, c) * (x(r, c) - mean[c]);
      few(1, c) += dy(r, c);
    });
  };
  const std::vector<double> total = simd::sum_rows<T>(M, C, 2 * C, add_row);
  std::copy(total.begin(), total.end(), sums);
}

// sums (2, C) of this process, all_sums (R, 2, C) of all. dx may be null. rows null: mean and var
// do not depend on x.
template <class T>
void batch_norm_backward(View<const T> x, const T* w, View<const T> mean, const T* rstd,
                         View<const T> dy, const double* sums, const double* all_sums,
                         const double* rows, View<T> dx, T* dw, T* dbias, int64_t R, int64_t M,
                         int64_t C) {
  // dx = scale (dy - mean_dy - (x - mean) slope)
  std::vector<T> scales(C), mean_dys(C), slopes(C);
  for (int64_t c = 0; c < C; ++c) {
    dw[c] = T(sums[c] * double(rstd[c]));
    dbias[c] = T(sums[C + c]);
    scales[c] = w[c] * rstd[c];
    if (!rows) continue;  // both are 0
    double sum_z = all_sums[c], sum = all_sums[C + c];
    for (int64_t r = 1; r < R; ++r) {
      sum_z += all_sums[2 * r * C + c];
      sum += all_sums[(2 * r + 1) * C + c];
    }
    mean_dys[c] = T(sum) / T(*rows);
    slopes[c] = rstd[c] * T(sum_z * double(rstd[c])) / T(*rows);
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

namespace {

// What every process has, in the order of ranks.
Tensor of_all(const Tensor& x, Processes& processes) {
  return processes.size() > 1 ? processes.all_gather(x) : x;
}

void check(const char* op, const Tensor& x, const ops::BatchNormInputs& in, int64_t processes) {
  const int64_t C = expect_columns(op, "x", x), M = x.numel() / C;
  const DType dtype = wide(x.dtype());
  expect(op, "w", in.w, {C}, dtype);
  expect(op, "bias", in.bias, {C}, dtype);
  if (in.running_mean.defined() || in.running_var.defined() || !in.options.training) {
    expect(op, "running_mean", in.running_mean, {C}, dtype);
    expect(op, "running_var", in.running_var, {C}, dtype);
  }
  if (in.options.moments.defined())
    expect(op, "moments", in.options.moments, {2 * C + 1}, DType::f64);
  CHECK(!in.options.training || M * processes > 1, op,
        ": training needs more than one row for a variance, x is ", x.shape(),
        "; use a larger batch or evaluation mode");
}

}  // namespace

// x (..., C), the others (C)
BatchStatistics batch_statistics(const char* op, const Tensor& x, const ops::BatchNormInputs& in) {
  const ops::BatchNormOptions& o = in.options;
  Processes& processes = o.training && o.processes ? *o.processes : alone();
  const int64_t R = processes.size();
  check(op, x, in, R);
  const int64_t C = in.w.numel(), M = x.numel() / C;
  const BatchStatistics s{Tensor::empty_like(in.w), Tensor::empty_like(in.w),
                          o.training ? Tensor::empty({1}, DType::f64, x.device()) : Tensor(),
                          &processes};
  if (!o.training) {
    s.mean.copy_from(in.running_mean);
    DISPATCH(x, batch_norm_given, in.running_var, s.rstd, C, o.eps);
    return s;
  }
  Tensor moments = o.moments;
  if (!moments.defined()) {
    moments = Tensor::empty({2 * C + 1}, DType::f64, x.device());
    DISPATCH(x, batch_norm_moments, x, moments, M, C);
  }
  const Tensor all = of_all(moments, processes);  // (R, 2 C + 1)
  DISPATCH(x, batch_norm_statistics, all, s.mean, s.rstd, s.rows, in.running_mean, in.running_var,
           R, C, o.eps, o.momentum);
  return s;
}

Grads batch_norm_gradients(const Tensor& x, const Tensor& w, const BatchStatistics& s,
                           const Tensor& dy, const Tensor& sums, const Tensor& dx) {
  const int64_t C = w.numel(), M = x.numel() / C;
  const Tensor dw = Tensor::empty_like(w), dbias = Tensor::empty_like(w);
  const Tensor all = of_all(sums, *s.processes);  // (R, 2, C)
  DISPATCH(x, batch_norm_backward, x, w, s.mean, s.rstd, dy, sums, all, s.rows, dx, dw, dbias,
           s.processes->size(), M, C);
  return {dx, dw, dbias};
}

Tensor ops::batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var,
                       const BatchNormOptions& options) {
  const BatchStatistics s =
      batch_statistics("batch_norm", x, {w, bias, running_mean, running_var, options});
  const int64_t C = w.numel(), M = x.numel() / C;
  const Tensor y = Tensor::empty_like(x);
  DISPATCH(x, batch_norm_forward, x, w, bias, s.mean, s.rstd, y, M, C);
  return record("batch_norm", y, {x, w, bias},
                [x = x.detach(), w = w.detach(), s, M, C,
                 needs_dx = needs_grad(x)](const Tensor& dy) -> Grads {
                  const Tensor dx = needs_dx ? Tensor::empty_like(x) : Tensor(),
                               sums = Tensor::empty({2, C}, DType::f64, x.device());
                  DISPATCH(x, batch_norm_sums, x, s.mean, dy, sums, M, C);
                  return batch_norm_gradients(x, w, s, dy, sums, dx);
                });
}

}  // namespace rmt
