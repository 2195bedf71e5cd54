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

// Throws unless x (..., I), w (O, I) and bias (O) or undefined fit.
void check_arguments(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias) {
  CHECK(x.defined() && x.rank() >= 1 && w.defined() && w.rank() == 2, op,
        ": needs x (..., I) and w (O, I), got ", x.shape(), " and ", w.shape());
  CHECK(x.dim(-1) == w.dim(1), op, ": x ", x.shape(), " does not fit w ", w.shape(),
        "; x's last dimension must be ", w.dim(1));
  CHECK(w.dtype() == wide(x.dtype()), op, ": w is ", w.dtype(), ", expected ", wide(x.dtype()),
        " for an x of ", x.dtype());
  if (bias.defined()) expect(op, "bias", bias, {w.dim(0)}, w.dtype());
}

// One product and its part of the gradients.
struct Linear {
  Tensor x;         // (..., I)
  Tensor w;         // (O, I) as the product sees it: in bf16 for an x in bf16
  DType parameter;  // the dtype that w came in, and that its gradient has
  bool has_bias, need_w;
  int64_t rows, I, O;

  Linear(const Tensor& x_, const Tensor& w_, const Tensor& bias)
      : x(x_.detach()), has_bias(bias.defined()), need_w(needs_grad({w_, bias})) {
    check_arguments("linear", x, w_, bias);
    O = w_.dim(0);
    parameter = w_.dtype();
    w = in_dtype(w_, x.dtype());
    count_rows();
  }
  void count_rows() {
    I = x.dim(-1);
    rows = I ? x.numel() / I : 0;
  }

  // bias in x's dtype.
  Tensor forward(const Tensor& bias) const {
    Shape shape = x.shape();
    shape.set(-1, O);
    Tensor y = Tensor::empty(shape, x.dtype(), x.device());
    DISPATCH(x, linear_forward, x, w, bias, y, rows, I, O);
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

 protected:
  Linear() = default;
};

}  // namespace

Tensor ops::linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const Linear f(x, w, bias);
  return record("linear", f.forward(in_dtype(bias, x.dtype())), {x, w, bias},
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
    ys.push_back(f[i].forward(in_dtype(bias[i], x.dtype())));
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

namespace {

// Tensors as one, the elements of each behind those of the one before. It begins at parts[0]; the
// others are held so that their memory stays.
struct Stack {
  std::vector<Tensor> parts;
};

// t in this dtype where that exists, as its shadow or as t itself, else undefined.
Tensor existing(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t.detach();
  const Tensor copy = shadow(t);
  return copy.defined() && copy.dtype() == dtype ? copy : Tensor();
}

bool one_behind_the_other(const std::vector<Tensor>& parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) return false;
    const char* end = i ? static_cast<char*>(parts[i - 1].raw()) + parts[i - 1].nbytes() : nullptr;
    if (i && parts[i].raw() != end) return false;
  }
  return true;
}

// Of the tensors (O_i, ...), zeros where one is undefined, as one `whole` (sum O_i, ...). Copies
// only where they do not lie so already.
Stack stacked(const std::vector<Tensor>& tensors, const std::vector<int64_t>& O, const Shape& whole,
              DType dtype, Device device) {
  std::vector<Tensor> parts;
  for (const Tensor& t : tensors) parts.push_back(t.defined() ? existing(t, dtype) : Tensor());
  if (one_behind_the_other(parts)) return {parts};
  const Tensor copy = Tensor::empty(whole, dtype, device);
  for (size_t i = 0, begin = 0; i < tensors.size(); begin += size_t(O[i++])) {
    const Tensor part = copy.slice(int64_t(begin), int64_t(begin) + O[i]);
    if (!tensors[i].defined())
      part.fill(0);
    else
      part.copy_from(parts[i].defined() ? parts[i] : tensors[i]);
  }
  return {{copy}};
}

// One product with the stacked weights.
struct PackedLinears : Linear {
  std::vector<int64_t> each;  // O_i
  Stack weights;

  PackedLinears(const Tensor& x_, const std::vector<Tensor>& w_, const std::vector<Tensor>& bias) {
    x = x_.detach();
    has_bias = need_w = false;
    O = 0;
    for (size_t i = 0; i < w_.size(); ++i) {
      check_arguments("packed_linears", x, w_[i], bias[i]);
      CHECK(w_[i].device() == x.device(), "packed_linears: x is on ", x.device(), ", w ",
            w_[i].shape(), " on ", w_[i].device(), "; bring them together with Tensor::to(Device)");
      each.push_back(w_[i].dim(0));
      O += each[i];
      has_bias |= bias[i].defined();
      need_w |= needs_grad({w_[i], bias[i]});
    }
    parameter = w_[0].dtype();
    count_rows();
    weights = stacked(w_, each, {O, I}, x.dtype(), x.device());
    w = weights.parts[0];
  }

  // The part of g (sum O_i, ...) that belongs to w_i, for each i.
  std::vector<Tensor> parts_of(const Tensor& g) const {
    std::vector<Tensor> parts;
    int64_t begin = 0;
    for (int64_t n : each) {
      parts.push_back(g.defined() ? g.slice(begin, begin + n) : Tensor());
      begin += n;
    }
    return parts;
  }
};

}  // namespace

// inputs: x, w_0, w_1, ..., bias_0, bias_1, ... and grads in the same order.
Tensor ops::packed_linears(const Tensor& x, const std::vector<Tensor>& w,
                           const std::vector<Tensor>& bias) {
  CHECK(!w.empty() && w.size() == bias.size(), "packed_linears: ", w.size(), " weights and ",
        bias.size(), " biases");
  const PackedLinears f(x, w, bias);
  Stack biases;
  if (f.has_bias) biases = stacked(bias, f.each, {f.O}, x.dtype(), x.device());
  std::vector<Tensor> inputs{x};
  inputs.insert(inputs.end(), w.begin(), w.end());
  inputs.insert(inputs.end(), bias.begin(), bias.end());
  std::vector<bool> has_bias;
  for (const Tensor& b : bias) has_bias.push_back(b.defined());
  return record("packed_linears", f.forward(f.has_bias ? biases.parts[0] : Tensor()), inputs,
                [f, has_bias, need_x = needs_grad(x)](const Tensor& dy) -> Grads {
                  Tensor dx, dw, dbias;
                  if (need_x) f.backward_x(dy, dx);
                  if (f.need_w) f.backward_w(dy, dw, dbias);
                  Grads grads{dx};
                  for (const Tensor& g : f.parts_of(dw)) grads.push_back(g);
                  for (const Tensor& g : f.parts_of(dbias))
                    grads.push_back(has_bias[grads.size() - 1 - f.each.size()] ? g : Tensor());
                  return grads;
                });
}

}  // namespace rmt
