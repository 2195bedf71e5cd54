// The mean squared error of n numbers:
//
//   y = 1 / n sum_i (x_i - t_i)^2;   dx_i = 2 dy / n (x_i - t_i),   dt = -dx
#include "ops/mse.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/mean_loss.h"

namespace rmt {
namespace gpu {  // mse.cu
template <class T>
void mse_forward(const T* x, const Wide<T>* t, Wide<T>* y, int64_t n);
template <class T>
void mse_backward(const T* x, const Wide<T>* t, const Wide<T>* dy, T* dx, Wide<T>* dt, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void mse_forward(View<const T> x, View<const T> t, T* y, int64_t n) {
  *y = mean_loss<T>(x, t, n, [](auto x_i, auto t_i) { return simd::square(x_i - t_i); });
}

// dx and dt may be null.
template <class T>
void mse_backward(View<const T> x, View<const T> t, const T* dy, View<T> dx, View<T> dt,
                  int64_t n) {
  const T scale = 2 * *dy / T(n);
  if (dx) simd::for_each<T>(n, [=](auto i) { dx[i] = scale * (x[i] - t[i]); });
  if (dt) simd::for_each<T>(n, [=](auto i) { dt[i] = scale * (t[i] - x[i]); });
}

}  // namespace
}  // namespace cpu

Tensor ops::mse(const Tensor& x, const Tensor& target) {
  expect_defined("mse", "x", x);
  CHECK(x.numel() > 0, "mse: x is ", x.shape(), ": there is no mean of no numbers");
  expect("mse", "target", target, x.shape(), wide(x.dtype()));
  Tensor y = Tensor::empty({}, target.dtype(), x.device());
  DISPATCH(x, mse_forward, x, target, y, x.numel());
  return record("mse", y, {x, target},
                [x = x.detach(), t = target.detach(), needs_dx = needs_grad(x),
                 needs_dt = needs_grad(target)](const Tensor& dy) -> Grads {
                  const Tensor dx = needs_dx ? Tensor::empty_like(x) : Tensor(),
                               dt = needs_dt ? Tensor::empty_like(t) : Tensor();
                  DISPATCH(x, mse_backward, x, t, dy, dx, dt, x.numel());
                  return {dx, dt};
                });
}

}  // namespace rmt
