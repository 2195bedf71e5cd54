// The Huber loss of differences d = x - target, with a weight for each row:
//
//   y = 1 / n sum_ic w_i h(d_ic),   h(d) = d^2 / (2 beta) for |d| < beta, else |d| - beta / 2
//   dx_ic = dy / n w_i h'(d_ic),    h'(d) = d / beta for |d| < beta, else the sign of d, 0 at 0
//
// where n is the normaliser.
#include "ops/smooth_l1.h"

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/mean_loss.h"

namespace rmt {
namespace gpu {  // smooth_l1.cu
template <class T>
void smooth_l1_forward(const T* x, const Wide<T>* t, const Wide<T>* w, Wide<T>* y, int64_t N,
                       int64_t C, double beta, double normaliser);
template <class T>
void smooth_l1_backward(const T* x, const Wide<T>* t, const Wide<T>* w, const Wide<T>* dy, T* dx,
                        int64_t N, int64_t C, double beta, double normaliser);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// w: null for weights of 1.
template <class T>
void smooth_l1_forward(View<const T> x, View<const T> t, const T* w, T* y, int64_t N, int64_t C,
                       double beta, double normaliser) {
  const T limit = T(beta), half = T(beta / 2), square = T(0.5 / beta);
  const double total = sum_of_rows(N, C, [=](int64_t i) {
    const T sum = simd::sum_columns<T>(C, [&](auto c) {
      const Vec<T> d = x(i, c) - t(i, c), distance = simd::max<T>(d, -d);
      return distance < limit ? square * d * d : distance - half;
    });
    return double(w ? w[i] : T(1)) * double(sum);
  });
  *y = T(total / normaliser);
}

template <class T>
void smooth_l1_backward(View<const T> x, View<const T> t, const T* w, const T* dy, View<T> dx,
                        int64_t N, int64_t C, double beta, double normaliser) {
  const T limit = T(beta), scale = T(double(*dy) / normaliser);
  simd::for_each_row(N, C, [=](int64_t i) {
    const T weight = scale * (w ? w[i] : T(1));
    const Vec<T> zero{}, one = simd::broadcast(T(1));
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> d = x(i, c) - t(i, c), sign = d > 0 ? one : d < 0 ? -one : zero;
      dx(i, c) = weight * (simd::max<T>(d, -d) < limit ? d / limit : sign);
    });
  });
}

}  // namespace
}  // namespace cpu

// x target (N, C), weights (N)
Tensor ops::smooth_l1(const Tensor& x, const Tensor& target, const Tensor& weights, double beta,
                      double normaliser) {
  expect_defined("smooth_l1", "x", x);
  CHECK(x.rank() == 2, "smooth_l1: x is ", x.shape(), ", expected (N, C)");
  const int64_t N = x.dim(0), C = x.dim(1);
  expect("smooth_l1", "target", target, x.shape(), wide(x.dtype()));
  if (weights.defined()) expect("smooth_l1", "weights", weights, {N}, wide(x.dtype()));
  CHECK(!needs_grad({target, weights}),
        "smooth_l1: target and weights have no gradient; detach() them");
  CHECK(normaliser > 0 && beta >= 0, "smooth_l1: normaliser ", normaliser, ", beta ", beta,
        ", expected a normaliser of more than 0 and a beta of 0 or more");
  Tensor y = Tensor::empty({}, target.dtype(), x.device());
  DISPATCH(x, smooth_l1_forward, x, target, weights, y, N, C, beta, normaliser);
  return record("smooth_l1", y, {x},
                [x = x.detach(), t = target.detach(), w = weights.detach(), N, C, beta,
                 normaliser](const Tensor& dy) -> Grads {
                  Tensor dx = Tensor::empty_like(x);
                  DISPATCH(x, smooth_l1_backward, x, t, w, dy, dx, N, C, beta, normaliser);
                  return {dx};
                });
}

}  // namespace rmt
