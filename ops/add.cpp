// Addition:   y = a + b;   da = dy,   db = dy, each summed over what is repeated
#include "ops/add.h"
#include "core/elementwise.h"
#include "ops/kernels/broadcast_loops.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // add.cu
template <class T>
void add_forward(const T* a, const T* b, T* y, int64_t n);
template <class T>
void add_broadcast(const T* a, const T* b, T* y, Broadcast<2> s);
template <class T>
void add_sum(const T* dy, Wide<T>* sums, Broadcast<1> s);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void add_forward(View<const T> a, View<const T> b, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = a[i] + b[i]; });
}

template <class T>
void add_broadcast(const T* a, const T* b, T* y, Broadcast<2> s) {
  simd::broadcast_map<T>(s, y, [](auto a_i, auto b_i) { return a_i + b_i; }, {a, b});
}

template <class T>
void add_sum(const T* dy, T* sums, Broadcast<1> s) {
  simd::broadcast_sum<T>(s, sums, [](auto dy_i) { return dy_i; }, {dy});
}

}  // namespace
}  // namespace cpu

namespace {
Tensor gradient_of(const GradientOf& x, const Tensor& dy) {
  if (x.like(dy)) return dy;
  return gradient(x, dy, [&](const Tensor&, const Tensor& sums) {
    DISPATCH(dy, add_sum, dy, sums, Broadcast<1>(dy.shape(), x.shape, {dy.shape()}));
  });
}
}  // namespace

Tensor ops::add(const Tensor& a, const Tensor& b) {
  const Operands x("add", a, b);
  const Shape shape = x.y.shape();
  if (a.shape() == b.shape())
    DISPATCH(x.y, add_forward, x.a, x.b, x.y, x.y.numel());
  else
    DISPATCH(x.y, add_broadcast, x.a, x.b, x.y, Broadcast<2>(shape, shape, {a.shape(), b.shape()}));
  return record("add", x.y, {a, b},
                [for_a = GradientOf(a), for_b = GradientOf(b)](const Tensor& dy) -> Grads {
                  return {gradient_of(for_a, dy), gradient_of(for_b, dy)};
                });
}

}  // namespace rmt
