// The difference:   y = a - b;   da = dy,   db = -dy, each summed over what is repeated
#include "ops/sub.h"
#include "ops/kernels/broadcast_loops.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // sub.cu
template <class T>
void sub_forward(const T* a, const T* b, T* y, Broadcast<2> s);
template <class T>
void sub_backward(const T* dy, T* dx, Wide<T>* sums, int sign, Broadcast<1> s);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void sub_forward(const T* a, const T* b, T* y, Broadcast<2> s) {
  simd::broadcast_map<T>(s, y, [](auto a_i, auto b_i) { return a_i - b_i; }, {a, b});
}

// sign: 1 for da, -1 for db
template <class T>
void sub_backward(const T* dy, T* dx, T* sums, int sign, Broadcast<1> s) {
  simd::broadcast_gradient<T>(s, dx, sums, [=](auto dy_i) { return T(sign) * dy_i; }, {dy});
}

}  // namespace
}  // namespace cpu

namespace {
Tensor gradient_of(const GradientOf& x, const Tensor& dy, int sign) {
  if (sign == 1 && x.like(dy)) return dy;
  return gradient(x, dy, [&](const Tensor& dx, const Tensor& sums) {
    DISPATCH(dy, sub_backward, dy, dx, sums, sign, Broadcast<1>(dy.shape(), x.shape, {dy.shape()}));
  });
}
}  // namespace

Tensor ops::sub(const Tensor& a, const Tensor& b) {
  const Operands x("sub", a, b);
  const Shape shape = x.y.shape();
  DISPATCH(x.y, sub_forward, x.a, x.b, x.y, Broadcast<2>(shape, shape, {a.shape(), b.shape()}));
  return record("sub", x.y, {a, b},
                [for_a = GradientOf(a), for_b = GradientOf(b)](const Tensor& dy) -> Grads {
                  return {gradient_of(for_a, dy, 1), gradient_of(for_b, dy, -1)};
                });
}

}  // namespace rmt
