// y = z w + bias,  z = (x - mean) rstd,  rstd = (var + eps)^-1/2, mean and var over the C columns
// of a row dx = rstd (g - mean(g) - z mean(g z)) with g = dy w;   dw = sum over rows of dy z, dbias
// = sum over rows of dy
#include "ops/layer_norm.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/residual_layer_norm.h"
#include "ops/residual_layer_norm.h"

namespace rmt {
namespace gpu {  // layer_norm.cu
template <class T>
void layer_norm_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Wide<T>* mean,
                        Wide<T>* rstd, int64_t rows, int64_t C, double eps);
template <class T>
void layer_norm_backward(const T* x, const Wide<T>* w, const Wide<T>* mean, const Wide<T>* rstd,
                         const T* dy, const T* more, T* dx, Wide<T>* dw, Wide<T>* dbias,
                         int64_t rows, int64_t C);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec;

// A row is in L1 after its first pass. The variance is that of x - mean: E[x^2] - E[x]^2 would
// cancel.
template <class T>
void layer_norm_forward(const T* x, const T* w, const T* bias, T* y, T* mean, T* rstd, int64_t rows,
                        int64_t C, double eps) {
  simd::for_rows(rows, C, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * C;
      T* out = y + r * C;
      Vec<T> s{}, q{};
      simd::for_columns<T>(C, [&](int64_t c, auto count) { s += simd::load(row + c, count); });
      const T m = simd::sum<T>(s) / T(C);
      simd::for_columns<T>(C, [&](int64_t c, auto count) {
        Vec<T> d = simd::load(row + c, count, m) - m;
        q += d * d;
      });
      const T k = 1 / std::sqrt(simd::sum<T>(q) / T(C) + T(eps));
      simd::for_columns<T>(C, [&](int64_t c, auto count) {
        Vec<T> z = (simd::load(row + c, count) - m) * k;
        simd::store<T>(out + c, z * simd::load(w + c, count) + simd::load(bias + c, count), count);
      });
      mean[r] = m, rstd[r] = k;
    }
  });
}

// dx + more, dw and dbias in one pass over x and dy. dx may be null; more too: 0.
template <class T>
void layer_norm_backward(const T* x, const T* w, const T* mean, const T* rstd, const T* dy,
                         const T* more, T* dx, T* dw, T* dbias, int64_t rows, int64_t C) {
  std::vector<double> sums =
      simd::sum_rows<T>(rows, C, 2 * C, [=](int64_t begin, int64_t end, T* part) {
        for (int64_t r = begin; r < end; ++r) {
          const T *row = x + r * C, *drow = dy + r * C, m = mean[r], k = rstd[r];
          Vec<T> sum_g{}, sum_gz{};
          simd::for_columns<T>(C, [&](int64_t c, auto count) {
            Vec<T> d = simd::load(drow + c, count), dz = d * ((simd::load(row + c, count) - m) * k),
                   weight = simd::load(w + c, count);
            sum_g += d * weight;
            sum_gz += dz * weight;
            simd::store<T>(part + c, simd::load(part + c, count) + dz, count);
            simd::store<T>(part + C + c, simd::load(part + C + c, count) + d, count);
          });
          if (!dx) continue;
          const T mean_g = simd::sum<T>(sum_g) / T(C), mean_gz = simd::sum<T>(sum_gz) / T(C);
          simd::for_columns<T>(C, [&](int64_t c, auto count) {
            Vec<T> g = simd::load(drow + c, count) * simd::load(w + c, count),
                   z = (simd::load(row + c, count) - m) * k, d = k * (g - mean_g - z * mean_gz);
            simd::store<T>(dx + r * C + c, more ? d + simd::load(more + r * C + c, count) : d,
                           count);
          });
        }
      });
  std::copy_n(sums.begin(), C, dw);
  std::copy_n(sums.begin() + C, C, dbias);
}

}  // namespace
}  // namespace cpu

LayerNormGradients layer_norm_gradients(const Tensor& x, const Tensor& w, const Tensor& mean,
                                        const Tensor& rstd, bool needs_dx) {
  return [x = x.detach(), w = w.detach(), mean, rstd, needs_dx](const Tensor& dy,
                                                                const Tensor& more) -> Grads {
    Tensor dx = needs_dx ? Tensor::empty_like(x) : Tensor(), dw = Tensor::empty_like(w),
           dbias = Tensor::empty_like(w);
    DISPATCH(x, layer_norm_backward, x, w, mean, rstd, dy, more, dx, dw, dbias, mean.numel(),
             w.numel());
    return {dx, dw, dbias};
  };
}

Tensor ops::layer_norm(const Tensor& x, const Tensor& w, const Tensor& bias,
                       double eps) {  // x (..., C), w bias (C)
  const int64_t C = expect_columns("layer_norm", "x", x), rows = x.numel() / C;
  expect("layer_norm", "w", w, {C}, wide(x.dtype()));
  expect("layer_norm", "bias", bias, {C}, wide(x.dtype()));
  Tensor y = Tensor::empty_like(x), mean = Tensor::empty({rows}, w.dtype(), x.device()),
         rstd = Tensor::empty_like(mean);
  DISPATCH(x, layer_norm_forward, x, w, bias, y, mean, rstd, rows, C, eps);
  return record("layer_norm", y, {x, w, bias},
                [gradients = layer_norm_gradients(x, w, mean, rstd, needs_grad(x))](
                    const Tensor& dy) { return gradients(dy, Tensor()); });
}

}  // namespace rmt
