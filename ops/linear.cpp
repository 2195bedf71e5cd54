// y = x w^T + bias;   dx = dy w,   dw = dy^T x,   dbias = sum over rows of dy
#include "ops/dispatch.h"
#include "ops/expect.h"
#include "ops/gemm.h"
#include "ops/ops.h"

namespace rmt {
namespace gpu {  // linear.cu
template <class T>
void linear_forward(const T* x, const T* w, const T* bias, T* y, int64_t rows, int64_t I, int64_t O);
template <class T>
void linear_backward_x(const T* dy, const T* w, T* dx, int64_t rows, int64_t I, int64_t O);
template <class T>
void linear_backward_w(const T* dy, const T* x, Wide<T>* dw, Wide<T>* dbias, int64_t rows, int64_t I, int64_t O);
}  // namespace gpu

namespace cpu {
namespace {

// x (rows, I), w (O, I), bias (O) or null -> y (rows, O)
template <class T>
void linear_forward(const T* x, const T* w, const T* bias, T* y, int64_t rows, int64_t I, int64_t O) {
  multiply_rows<T>(rows, x, I, PackedB<T>(w, 1, I, I, O), {y, O, bias});
}

// dy (rows, O) -> dx (rows, I)
template <class T>
void linear_backward_x(const T* dy, const T* w, T* dx, int64_t rows, int64_t I, int64_t O) {
  multiply_rows<T>(rows, dy, O, PackedB<T>(w, I, 1, O, I), {dx, I});
}

// -> dw (O, I), dbias (O) or null
template <class T>
void linear_backward_w(const T* dy, const T* x, T* dw, T* dbias, int64_t rows, int64_t I, int64_t O) {
  multiply_transposed<T>(O, I, rows, dy, O, x, I, dw, dbias);
}

}  // namespace
}  // namespace cpu

Tensor ops::linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  CHECK(x.defined() && x.rank() >= 1 && w.defined() && w.rank() == 2, "linear: needs x (..., I) and w (O, I), got ", x.shape(), " and ", w.shape());
  int64_t I = w.dim(1), O = w.dim(0), rows = I ? x.numel() / I : 0;
  CHECK(x.dim(-1) == I, "linear: x ", x.shape(), " does not fit w ", w.shape(), "; x's last dimension must be ", I);
  CHECK(w.dtype() == wide(x.dtype()), "linear: w is ", w.dtype(), ", expected ", wide(x.dtype()), " for an x of ", x.dtype());
  if (bias.defined()) expect("linear", "bias", bias, {O}, w.dtype());
  Shape shape = x.shape();
  shape.set(-1, O);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const Tensor wx = in_dtype(w, x.dtype()), bias_x = in_dtype(bias, x.dtype());  // bf16 for an x in bf16
  DISPATCH(x, linear_forward, ptr(x), ptr(wx), ptr(bias_x), ptr(y), rows, I, O);
  return record("linear", y, {x, w, bias},
                [x = x.detach(), wx, rows, I, O, dtype = w.dtype(), need_x = needs_grad(x), need_w = needs_grad(w) || needs_grad(bias),
                 has_bias = bias.defined()](const Tensor& dy) -> Grads {
                  Tensor dx, dw, dbias;
                  if (need_x) {
                    dx = Tensor::empty_like(x);
                    DISPATCH(x, linear_backward_x, ptr(dy), ptr(wx), ptr(dx), rows, I, O);
                  }
                  if (need_w) {
                    dw = Tensor::empty({O, I}, dtype, x.device());
                    if (has_bias) dbias = Tensor::empty({O}, dtype, x.device());
                    DISPATCH(x, linear_backward_w, ptr(dy), ptr(x), ptr(dw), ptr(dbias), rows, I, O);
                  }
                  return {dx, dw, dbias};
                });
}

}  // namespace rmt
