// The binary cross entropy of n logits x and targets t in [0, 1], with weights w. With p =
// sigmoid(x), -log p = max(-x, 0) + log(1 + e^-|x|), where no exponential overflows, and
// -log(1 - p) is x more:
//
//   y = 1 / s sum_i w_i (max(x_i, 0) - x_i t_i + log(1 + e^-|x_i|))
//   dx_i = dy / s w_i (sigmoid(x_i) - t_i)
//
// The normaliser s is n for the mean.
#include "ops/bce_with_logits.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/mean_loss.h"
#include "ops/kernels/softplus.h"

namespace rmt {
namespace gpu {  // bce_with_logits.cu
template <class T>
void bce_with_logits_forward(const T* x, const Wide<T>* t, const Wide<T>* w, Wide<T>* y, int64_t n,
                             double normaliser);
template <class T>
void bce_with_logits_backward(const T* x, const Wide<T>* t, const Wide<T>* w, const Wide<T>* dy,
                              T* dx, int64_t n, double normaliser);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// w: null for weights of 1.
template <class T>
void bce_with_logits_forward(View<const T> x, View<const T> t, View<const T> w, T* y, int64_t n,
                             double normaliser) {
  const auto loss = [=](auto i) {
    return simd::max<T>(x[i], Vec<T>{}) - x[i] * t[i] + log_1p_exp<T>(x[i]);
  };
  *y = w ? sum_loss<T>(n, normaliser, [=](auto i) { return w[i] * loss(i); })
         : sum_loss<T>(n, normaliser, loss);
}

template <class T>
void bce_with_logits_backward(View<const T> x, View<const T> t, View<const T> w, const T* dy,
                              View<T> dx, int64_t n, double normaliser) {
  const T scale = *dy / T(normaliser);
  const auto slope = [=](auto i) { return scale * (T(1) / (T(1) + simd::exp(-x[i])) - t[i]); };
  if (w)
    simd::for_each<T>(n, [=](auto i) { dx[i] = w[i] * slope(i); });
  else
    simd::for_each<T>(n, [=](auto i) { dx[i] = slope(i); });
}

}  // namespace
}  // namespace cpu

Tensor ops::bce_with_logits(const Tensor& x, const Tensor& target) {
  expect_defined("bce_with_logits", "x", x);
  CHECK(x.numel() > 0, "bce_with_logits: x is ", x.shape(), ": there is no mean of no numbers");
  return bce_with_logits(x, target, {}, double(x.numel()));
}

Tensor ops::bce_with_logits(const Tensor& x, const Tensor& target, const Tensor& weights,
                            double normaliser) {
  expect_defined("bce_with_logits", "x", x);
  expect("bce_with_logits", "target", target, x.shape(), wide(x.dtype()));
  CHECK(!needs_grad(target), "bce_with_logits: target has no gradient; detach() it");
  if (weights.defined()) expect("bce_with_logits", "weights", weights, x.shape(), wide(x.dtype()));
  CHECK(!needs_grad(weights), "bce_with_logits: weights have no gradient; detach() them");
  CHECK(normaliser > 0, "bce_with_logits: normaliser ", normaliser, ", expected more than 0");
  Tensor y = Tensor::empty({}, target.dtype(), x.device());
  DISPATCH(x, bce_with_logits_forward, x, target, weights, y, x.numel(), normaliser);
  return record("bce_with_logits", y, {x},
                [x = x.detach(), t = target.detach(), w = weights.detach(),
                 normaliser](const Tensor& dy) -> Grads {
                  const Tensor dx = Tensor::empty_like(x);
                  DISPATCH(x, bce_with_logits_backward, x, t, w, dy, dx, x.numel(), normaliser);
                  return {dx};
                });
}

}  // namespace rmt
