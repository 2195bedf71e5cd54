// Group normalisation: mean 0 and variance 1 for each sample and group of channels, then a scale
// and a shift a channel. As layer_norm.cpp, with the group's L D numbers in the place of a row.
//
//   y = z w + bias,   z = (x - mean) rstd,   rstd = (var + eps)^-1/2
//   dx = rstd (g - mean(g) - z mean(g z)),   g = dy w
//   dw = sum over samples and positions of dy z,   dbias = sum of dy
//
// where mean, var, mean(g) and mean(g z) are over the L positions of a sample and the D channels of
// a group.
#include "ops/group_norm.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // group_norm.cu
template <class T>
void group_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Wide<T>* mean,
                        Wide<T>* rstd, int64_t B, int64_t L, int64_t G, int64_t D, double eps);
template <class T>
void group_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, T* dx, Wide<T>* dw, Wide<T>* dbias, int64_t B, int64_t L,
                         int64_t G, int64_t D);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

// f(c) for the D channels of group g, added up.
template <class F>
double over_group(int64_t g, int64_t D, const F& f) {
  double sum = 0;
  for (int64_t c = g * D; c < (g + 1) * D; ++c) sum += f(c);
  return sum;
}

// w and bias may be null. Sums over a group are those of its columns, added.
template <class T>
void group_norm_forward(View<const T> x, const T* w, const T* bias, View<T> y, T* means, T* rstds,
                        int64_t B, int64_t L, int64_t G, int64_t D, double eps) {
  const int64_t C = G * D;
  const double M = double(L * D);
  simd::for_each_row(B, L * C, [=](int64_t b) {
    std::vector<T> centers(C), scales(C), shifts(C);
    std::vector<double> sums = simd::sum_rows<T>(L, C, C, [=](int64_t l, View<T> s) {
      simd::for_columns<T>(C, [&](auto c) { s[c] += x(b * L + l, c); });
    });
    for (int64_t g = 0; g < G; ++g) {
      means[b * G + g] = T(over_group(g, D, [&](int64_t c) { return sums[c]; }) / M);
      std::fill_n(centers.begin() + g * D, D, means[b * G + g]);
    }
    const View<const T> center = centers.data(), scale = scales.data(), shift = shifts.data();
    sums = simd::sum_rows<T>(L, C, C, [=](int64_t l, View<T> s) {
      simd::for_columns<T>(C, [&](auto c) { s[c] += simd::square(x(b * L + l, c) - center[c]); });
    });
    for (int64_t g = 0; g < G; ++g) {
      const double var = over_group(g, D, [&](int64_t c) { return sums[c]; }) / M;
      rstds[b * G + g] = T(1 / std::sqrt(var + eps));
    }
    for (int64_t c = 0; c < C; ++c) {
      scales[c] = (w ? w[c] : T(1)) * rstds[b * G + c / D];
      shifts[c] = bias ? bias[c] : T(0);
    }
    simd::for_each_row(L, C, [=](int64_t l) {
      const int64_t r = b * L + l;
      simd::for_columns<T>(C,
                           [&](auto c) { y(r, c) = (x(r, c) - center[c]) * scale[c] + shift[c]; });
    });
  });
}

// Of sample b: sums (2, C) of dy z and of dy over its positions, and dx, which may be null.
template <class T>
void backward_sample(int64_t b, View<const T> x, const T* w, const T* mean, const T* rstd,
                     View<const T> dy, View<T> dx, double* sums, int64_t L, int64_t G, int64_t D) {
  const int64_t C = G * D;
  std::vector<T> centers(C), rates(C), scales(C), offsets(C), slopes(C);
  for (int64_t c = 0; c < C; ++c) {
    centers[c] = mean[b * G + c / D];
    rates[c] = rstd[b * G + c / D];
    scales[c] = (w ? w[c] : T(1)) * rates[c];
  }
  const View<const T> center = centers.data(), rate = rates.data(), scale = scales.data(),
                      offset = offsets.data(), slope = slopes.data();
  const std::vector<double> both = simd::sum_rows<T>(L, C, 2 * C, [=](int64_t l, View<T> s) {
    const int64_t r = b * L + l;
    simd::for_columns<T>(C, [&](auto c) {
      s(0, c) += dy(r, c) * ((x(r, c) - center[c]) * rate[c]);
      s(1, c) += dy(r, c);
    });
  });
  std::copy(both.begin(), both.end(), sums);
  if (!dx) return;
  // dx = scale dy - offset - (x - mean) slope
  for (int64_t g = 0; g < G; ++g) {
    const auto mean_of = [&](const double* sum) {
      const auto with_w = [&](int64_t c) { return (w ? double(w[c]) : 1) * sum[c]; };
      return over_group(g, D, with_w) / double(L * D);
    };
    const double r = double(rstd[b * G + g]);
    std::fill_n(slopes.begin() + g * D, D, T(r * r * mean_of(sums)));
    std::fill_n(offsets.begin() + g * D, D, T(r * mean_of(sums + C)));
  }
  simd::for_each_row(L, C, [=](int64_t l) {
    const int64_t r = b * L + l;
    simd::for_columns<T>(C, [&](auto c) {
      dx(r, c) = scale[c] * dy(r, c) - offset[c] - (x(r, c) - center[c]) * slope[c];
    });
  });
}

// Each of the results may be null.
template <class T>
void group_norm_backward(View<const T> x, const T* w, const T* mean, const T* rstd,
                         View<const T> dy, View<T> dx, T* dw, T* dbias, int64_t B, int64_t L,
                         int64_t G, int64_t D) {
  const int64_t C = G * D;
  std::vector<double> sums(B * 2 * C);
  simd::for_each_row(B, L * C, [=, all = sums.data()](int64_t b) {
    backward_sample<T>(b, x, w, mean, rstd, dy, dx, all + b * 2 * C, L, G, D);
  });
  for (int64_t c = 0; c < C; ++c) {
    double sum_w = 0, sum_bias = 0;
    for (int64_t b = 0; b < B; ++b) {
      sum_w += sums[2 * b * C + c];
      sum_bias += sums[(2 * b + 1) * C + c];
    }
    if (dw) dw[c] = T(sum_w);
    if (dbias) dbias[c] = T(sum_bias);
  }
}

}  // namespace
}  // namespace cpu

// x (B, ..., C), w bias (C) or undefined
Tensor ops::group_norm(const Tensor& x, int64_t G, const Tensor& w, const Tensor& bias,
                       double eps) {
  const int64_t C = expect_columns("group_norm", "x", x), B = x.dim(0);
  CHECK(x.rank() >= 2 && (B == 0 || x.numel() > 0), "group_norm: x is ", x.shape(),
        ", expected (B, ..., C) with positions > 0");
  CHECK(G > 0 && C % G == 0, "group_norm: ", G, " groups do not divide the ", C, " channels of x ",
        x.shape());
  if (w.defined()) expect("group_norm", "weight", w, {C}, wide(x.dtype()));
  if (bias.defined()) expect("group_norm", "bias", bias, {C}, wide(x.dtype()));
  const int64_t L = B ? x.numel() / (B * C) : 1, D = C / G;
  const Tensor y = Tensor::empty_like(x);
  const Tensor mean = Tensor::empty({B, G}, wide(x.dtype()), x.device());
  const Tensor rstd = Tensor::empty_like(mean);
  DISPATCH(x, group_norm_forward, x, w, bias, y, mean, rstd, B, L, G, D, eps);
  return record(
      "group_norm", y, {x, w, bias},
      [x = x.detach(), w = w.detach(), mean, rstd, B, L, G, D, needs_dx = needs_grad(x),
       needs_dw = needs_grad(w), needs_dbias = needs_grad(bias)](const Tensor& dy) -> Grads {
        auto of_channels = [&](bool needed) {
          return !needed ? Tensor()
                 : B     ? Tensor::empty({G * D}, mean.dtype(), x.device())
                         : Tensor::zeros({G * D}, mean.dtype(), x.device());
        };
        const Tensor dx = needs_dx ? Tensor::empty_like(x) : Tensor(), dw = of_channels(needs_dw),
                     dbias = of_channels(needs_dbias);
        DISPATCH(x, group_norm_backward, x, w, mean, rstd, dy, dx, dw, dbias, B, L, G, D);
        return {dx, dw, dbias};
      });
}

}  // namespace rmt
