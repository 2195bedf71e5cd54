// The binary cross entropy of n logits x and targets t in [0, 1]. With p = sigmoid(x), -log p =
// max(-x, 0) + log(1 + e^-|x|), where no exponential overflows, and -log(1 - p) is x more:
//
//   y = 1 / n sum_i (max(x_i, 0) - x_i t_i + log(1 + e^-|x_i|))
//   dx_i = dy / n (sigmoid(x_i) - t_i)
#include "ops/bce_with_logits.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/mean_loss.h"

namespace rmt {
namespace gpu {  // bce_with_logits.cu
template <class T>
void bce_with_logits_forward(const T* x, const Wide<T>* t, Wide<T>* y, int64_t n);
template <class T>
void bce_with_logits_backward(const T* x, const Wide<T>* t, const Wide<T>* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// log(1 + e^-|x|)
template <class T>
Vec<T> log_1p_exp(Vec<T> x) {
  Vec<T> e = simd::exp(simd::min<T>(x, -x));
  for (int i = 0; i < simd::lanes<T>; ++i) e[i] = std::log1p(e[i]);
  return e;
}

template <class T>
void bce_with_logits_forward(View<const T> x, View<const T> t, T* y, int64_t n) {
  *y = mean_loss<T>(x, t, n, [](Vec<T> x_i, Vec<T> t_i) {
    return simd::max<T>(x_i, Vec<T>{}) - x_i * t_i + log_1p_exp<T>(x_i);
  });
}

template <class T>
void bce_with_logits_backward(View<const T> x, View<const T> t, const T* dy, View<T> dx,
                              int64_t n) {
  const T scale = *dy / T(n);
  simd::for_each<T>(n, [=](auto i) { dx[i] = scale * (T(1) / (T(1) + simd::exp(-x[i])) - t[i]); });
}

}  // namespace
}  // namespace cpu

Tensor ops::bce_with_logits(const Tensor& x, const Tensor& target) {
  expect_defined("bce_with_logits", "x", x);
  CHECK(x.numel() > 0, "bce_with_logits: x is ", x.shape(), ": there is no mean of no numbers");
  expect("bce_with_logits", "target", target, x.shape(), wide(x.dtype()));
  CHECK(!needs_grad(target), "bce_with_logits: target has no gradient; detach() it");
  Tensor y = Tensor::empty({}, target.dtype(), x.device());
  DISPATCH(x, bce_with_logits_forward, x, target, y, x.numel());
  return record("bce_with_logits", y, {x},
                [x = x.detach(), t = target.detach()](const Tensor& dy) -> Grads {
                  const Tensor dx = Tensor::empty_like(x);
                  DISPATCH(x, bce_with_logits_backward, x, t, dy, dx, x.numel());
                  return {dx};
                });
}

}  // namespace rmt
