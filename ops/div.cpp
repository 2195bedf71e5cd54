// The quotient:   y = a / b;   da = dy / b,   db = -dy a / b^2, each summed over what is repeated
//
// db is computed as -dy ((a / b) / b): b^2 and dy a would be infinite, or 0, far earlier than db.
#include "ops/div.h"
#include "ops/kernels/broadcast_loops.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // div.cu
template <class T>
void div_forward(const T* a, const T* b, T* y, Broadcast<2> s);
template <class T>
void div_backward_a(const T* dy, const T* b, T* da, Wide<T>* sums, Broadcast<2> s);
template <class T>
void div_backward_b(const T* dy, const T* a, const T* b, T* db, Wide<T>* sums, Broadcast<3> s);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void div_forward(const T* a, const T* b, T* y, Broadcast<2> s) {
  simd::broadcast_map<T>(s, y, [](auto a_i, auto b_i) { return a_i / b_i; }, {a, b});
}

template <class T>
void div_backward_a(const T* dy, const T* b, T* da, T* sums, Broadcast<2> s) {
  const auto f = [](auto dy_i, auto b_i) { return dy_i / b_i; };
  simd::broadcast_gradient<T>(s, da, sums, f, {dy, b});
}

template <class T>
void div_backward_b(const T* dy, const T* a, const T* b, T* db, T* sums, Broadcast<3> s) {
  const auto f = [](auto dy_i, auto a_i, auto b_i) { return -dy_i * (a_i / b_i / b_i); };
  simd::broadcast_gradient<T>(s, db, sums, f, {dy, a, b});
}

}  // namespace
}  // namespace cpu

Tensor ops::div(const Tensor& a, const Tensor& b) {
  const Operands x("div", a, b);
  const Shape shape = x.y.shape();
  DISPATCH(x.y, div_forward, x.a, x.b, x.y, Broadcast<2>(shape, shape, {a.shape(), b.shape()}));
  const GradientOf for_a(a), for_b(b);
  const Tensor kept_a = for_b.needed ? x.a : Tensor();
  return record("div", x.y, {a, b}, [=, kept_b = x.b](const Tensor& dy) -> Grads {
    const Tensor da = gradient(for_a, dy, [&](const Tensor& dx, const Tensor& sums) {
      DISPATCH(dy, div_backward_a, dy, kept_b, dx, sums,
               Broadcast<2>(shape, for_a.shape, {shape, for_b.shape}));
    });
    const Tensor db = gradient(for_b, dy, [&](const Tensor& dx, const Tensor& sums) {
      DISPATCH(dy, div_backward_b, dy, kept_a, kept_b, dx, sums,
               Broadcast<3>(shape, for_b.shape, {shape, for_a.shape, for_b.shape}));
    });
    return {da, db};
  });
}

}  // namespace rmt
