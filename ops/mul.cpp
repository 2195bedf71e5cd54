// The product number by number:   y = a b;   da = dy b,   db = dy a, each summed over what is
// repeated
#include "ops/mul.h"
#include "core/elementwise.h"
#include "ops/kernels/broadcast_loops.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // mul.cu
template <class T>
void mul_forward(const T* a, const T* b, T* y, int64_t n);
template <class T>
void mul_broadcast(const T* a, const T* b, T* y, Broadcast<2> s);
template <class T>
void mul_sum(const T* a, const T* b, Wide<T>* sums, Broadcast<2> s);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void mul_forward(View<const T> a, View<const T> b, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = a[i] * b[i]; });
}

template <class T>
void mul_broadcast(const T* a, const T* b, T* y, Broadcast<2> s) {
  simd::broadcast_map<T>(s, y, [](auto a_i, auto b_i) { return a_i * b_i; }, {a, b});
}

template <class T>
void mul_sum(const T* a, const T* b, T* sums, Broadcast<2> s) {
  simd::broadcast_sum<T>(s, sums, [](auto a_i, auto b_i) { return a_i * b_i; }, {a, b});
}

}  // namespace
}  // namespace cpu

namespace {

void multiply(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (a.shape() == b.shape())
    DISPATCH(y, mul_forward, a, b, y, y.numel());
  else
    DISPATCH(y, mul_broadcast, a, b, y, Broadcast<2>(y.shape(), y.shape(), {a.shape(), b.shape()}));
}

// The gradient of x, the one factor.
Tensor gradient_of(const GradientOf& x, const Tensor& dy, const Tensor& other) {
  return gradient(x, dy, [&](const Tensor& dx, const Tensor& sums) {
    if (dx.defined())
      multiply(dy, other, dx);
    else
      DISPATCH(dy, mul_sum, dy, other, sums,
               Broadcast<2>(dy.shape(), x.shape, {dy.shape(), other.shape()}));
  });
}

}  // namespace

Tensor ops::mul(const Tensor& a, const Tensor& b) {
  const Operands x("mul", a, b);
  multiply(x.a, x.b, x.y);
  const GradientOf for_a(a), for_b(b);
  // Each gradient needs the other factor.
  const Tensor kept_a = for_b.needed ? x.a : Tensor(), kept_b = for_a.needed ? x.b : Tensor();
  return record("mul", x.y, {a, b}, [=](const Tensor& dy) -> Grads {
    return {gradient_of(for_a, dy, kept_b), gradient_of(for_b, dy, kept_a)};
  });
}

}  // namespace rmt
