// y  = g + bias + conv(g, w),   g = gelu(x),   conv as in depthwise_conv2d.cpp
// dg = dy + conv(dy, w with its taps reversed),   dx = dg gelu'(x)
// dw and dbias as in depthwise_conv2d.cpp, of g, which is computed from x again and never kept.
#include "ops/gelu_depthwise_conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/gelu.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt {
namespace gpu {  // gelu_depthwise_conv2d.cu
template <class T>
void gelu_depthwise_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, const Map& m);
template <class T>
void gelu_depthwise_backward(const T* x, const T* dy, const Wide<T>* w, T* dx, Wide<T>* dw,
                             Wide<T>* dbias, const Map& m);
}  // namespace gpu

Tensor ops::gelu_depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const char* op = "gelu_depthwise_conv2d";
  CHECK(x.defined() && x.rank() == 4 && x.dim(3) > 0, op, ": x is ", x.shape(),
        ", expected (B, H, W, C) with C > 0");
  const int64_t C = x.dim(3), k = w.defined() && w.rank() == 4 ? w.dim(2) : 1;
  expect(op, "w", w, {C, 1, k, k}, wide(x.dtype()));
  CHECK(k % 2 == 1, op, ": w is ", w.shape(), "; the filter's size ", k,
        " must be odd, to have a middle");
  if (bias.defined()) expect(op, "bias", bias, {C}, wide(x.dtype()));

  // On the CPU the arithmetic of GELU takes longer than memory does: to do it once, and keep g, is
  // the faster way there.
  if (x.device() == Device::cpu) {
    const Tensor g = gelu(x);
    return depthwise_conv2d(g, w, bias, g);
  }
  const Map m{x.dim(0), x.dim(1), x.dim(2), C, k, k / 2};
  Tensor y = Tensor::empty_like(x);
  DISPATCH_GPU(x, gelu_depthwise_forward, x, w, bias, y, m);
  count_multiply_adds(x.numel() * k * k);
  return record(
      op, y, {x, w, bias},
      [x = x.detach(), w = w.detach(), m, need_x = needs_grad(x), need_w = needs_grad({w, bias}),
       has_bias = bias.defined()](const Tensor& dy) -> Grads {
        Tensor dx, dw, dbias;
        if (need_x) dx = Tensor::empty_like(x);
        if (need_w) dw = Tensor::empty_like(w);
        if (need_w && has_bias) dbias = Tensor::empty({m.C}, w.dtype(), w.device());
        DISPATCH_GPU(x, gelu_depthwise_backward, x, dy, w, dx, dw, dbias, m);
        return {dx, dw, dbias};
      });
}

}  // namespace rmt
