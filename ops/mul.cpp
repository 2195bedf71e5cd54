// The product number by number:   y = a b;   da = dy b,   db = dy a
#include "ops/mul.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // mul.cu
template <class T>
void mul_forward(const T* a, const T* b, T* y, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void mul_forward(View<const T> a, View<const T> b, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = a[i] * b[i]; });
}

}  // namespace
}  // namespace cpu

namespace {
Tensor product(const Tensor& a, const Tensor& b) {
  Tensor y = Tensor::empty_like(a);
  DISPATCH(a, mul_forward, a, b, y, a.numel());
  return y;
}
}  // namespace

Tensor ops::mul(const Tensor& a, const Tensor& b) {
  expect_defined("mul", "a", a);
  expect("mul", "b", b, a.shape(), a.dtype());
  Tensor for_db = needs_grad(b) ? a.detach() : Tensor(),
         for_da = needs_grad(a) ? b.detach() : Tensor();
  return record("mul", product(a, b), {a, b}, [for_da, for_db](const Tensor& dy) -> Grads {
    return {for_da.defined() ? product(dy, for_da) : Tensor(),
            for_db.defined() ? product(dy, for_db) : Tensor()};
  });
}

}  // namespace rmt
