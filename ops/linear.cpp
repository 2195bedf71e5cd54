// y  = x w^T + bias      x (rows, I), w (O, I), y (rows, O)
// dx = dy w,   dw = dy^T x,   dbias = sum of dy over the rows
#include "ops/linear.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt {
namespace gpu {  // linear.cu
template <class T>
void linear_forward(const T* x, const T* w, const T* bias, T* y, int64_t rows, int64_t I,
                    int64_t O);
template <class T>
void linear_backward_x(const T* dy, const T* w, T* dx, int64_t rows, int64_t I, int64_t O,
                       bool accumulate);
template <class T>
void linear_backward_w(const T* dy, const T* x, Wide<T>* dw, Wide<T>* dbias, int64_t rows,
                       int64_t I, int64_t O);
}  // namespace gpu

namespace cpu {
namespace {

// x (rows, I), w (O, I), bias (O) or null -> y (rows, O)
template <class T>
void linear_forward(const T* x, const T* w, const T* bias, T* y, int64_t rows, int64_t I,
                    int64_t O) {
  const PackedB<T> w_transposed(w, 1, I, I, O);  // (I, O): element (i, o) is w[i + o * I]
  multiply_rows<T>(rows, x, I, w_transposed, {.c = y, .stride = O, .bias = bias});
}

// dy (rows, O) -> dx (rows, I), which is added to what dx holds when `accumulate`
template <class T>
void linear_backward_x(const T* dy, const T* w, T* dx, int64_t rows, int64_t I, int64_t O,
                       bool accumulate) {
  const PackedB<T> packed(w, I, 1, O, I);  // (O, I): element (o, i) is w[o * I + i]
  multiply_rows<T>(rows, dy, O, packed, {.c = dx, .stride = I, .accumulate = accumulate});
}

// dy (rows, O), x (rows, I) -> dw (O, I), dbias (O) or null
template <class T>
void linear_backward_w(const T* dy, const T* x, T* dw, T* dbias, int64_t rows, int64_t I,
                       int64_t O) {
  multiply_transposed<T>(O, I, rows, dy, O, x, I, dw, dbias);
}

}  // namespace
}  // namespace cpu

namespace {

// One product and its part of the gradients.
struct Linear {
  Tensor x;         // (..., I)
  Tensor w;         // (O, I) as the product sees it: in bf16 for an x in bf16
  DType parameter;  // the dtype that w came in, and that its gradient has
  bool has_bias, need_w;
  int64_t rows, I, O;

  Linear(const Tensor& x_, const Tensor& w_, const Tensor& bias)
      : x(x_.detach()), has_bias(bias.defined()), need_w(needs_grad({w_, bias})) {
    CHECK(x.defined() && x.rank() >= 1 && w_.defined() && w_.rank() == 2,
          "linear: needs x (..., I) and w (O, I), got ", x.shape(), " and ", w_.shape());
    I = w_.dim(1);
    O = w_.dim(0);
    rows = I ? x.numel() / I : 0;
    CHECK(x.dim(-1) == I, "linear: x ", x.shape(), " does not fit w ", w_.shape(),
          "; x's last dimension must be ", I);
    CHECK(w_.dtype() == wide(x.dtype()), "linear: w is ", w_.dtype(), ", expected ",
          wide(x.dtype()), " for an x of ", x.dtype());
    if (has_bias) expect("linear", "bias", bias, {O}, w_.dtype());
    parameter = w_.dtype();
    w = in_dtype(w_, x.dtype());
  }

  Tensor forward(const Tensor& bias) const {
    Shape shape = x.shape();
    shape.set(-1, O);
    Tensor y = Tensor::empty(shape, x.dtype(), x.device()), bias_x = in_dtype(bias, x.dtype());
    DISPATCH(x, linear_forward, x, w, bias_x, y, rows, I, O);
    count_multiply_adds(rows * I * O);
    return y;
  }
  // Writes dx, or adds to it where other products of the same x have left theirs there.
  void backward_x(const Tensor& dy, Tensor& dx) const {
    const bool accumulate = dx.defined();
    if (!accumulate) dx = Tensor::empty_like(x);
    DISPATCH(x, linear_backward_x, dy, w, dx, rows, I, O, accumulate);
  }
  void backward_w(const Tensor& dy, Tensor& dw, Tensor& dbias) const {
    dw = Tensor::empty({O, I}, parameter, x.device());
    if (has_bias) dbias = Tensor::empty({O}, parameter, x.device());
    DISPATCH(x, linear_backward_w, dy, x, dw, dbias, rows, I, O);
  }
};

}  // namespace

Tensor ops::linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const Linear f(x, w, bias);
  return record("linear", f.forward(bias), {x, w, bias},
                [f, need_x = needs_grad(x)](const Tensor& dy) -> Grads {
                  Tensor dx, dw, dbias;
                  if (need_x) f.backward_x(dy, dx);
                  if (f.need_w) f.backward_w(dy, dw, dbias);
                  return {dx, dw, dbias};
                });
}

// inputs: x, w_0, bias_0, w_1, bias_1, ... and grads in the same order: one dx, the sum over all
// products, then dw_i at 1 + 2 i and dbias_i at 2 + 2 i.
std::vector<Tensor> ops::linears(const Tensor& x, const std::vector<Tensor>& w,
                                 const std::vector<Tensor>& bias) {
  CHECK(w.size() == bias.size(), "linears: ", w.size(), " weights and ", bias.size(), " biases");
  std::vector<Linear> f;
  std::vector<Tensor> ys, inputs{x};
  for (size_t i = 0; i < w.size(); ++i) {
    f.emplace_back(x, w[i], bias[i]);
    ys.push_back(f[i].forward(bias[i]));
    inputs.insert(inputs.end(), {w[i], bias[i]});
  }
  return record_many("linears", ys, inputs,
                     [f, need_x = needs_grad(x)](const std::vector<Tensor>& dys) -> Grads {
                       Grads grads(1 + 2 * f.size());
                       for (size_t i = 0; i < f.size(); ++i) {
                         if (!dys[i].defined()) continue;
                         if (need_x) f[i].backward_x(dys[i], grads[0]);
                         if (f[i].need_w)
                           f[i].backward_w(dys[i], grads[1 + 2 * i], grads[2 + 2 * i]);
                       }
                       return grads;
                     });
}

}  // namespace rmt
