// A line:   y = factor x + shift;   dx = factor dy
#include "ops/scale.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // scale.cu
template <class T>
void scale_forward(const T* x, T* y, double factor, double shift, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void scale_forward(View<const T> x, View<T> y, double factor, double shift, int64_t n) {
  const T f = T(factor), s = T(shift);
  simd::for_each<T>(n, [=](auto i) { y[i] = f * x[i] + s; });
}

}  // namespace
}  // namespace cpu

Tensor ops::scale(const Tensor& x, double factor, double shift) {
  expect_defined("scale", "x", x);
  auto line = [](const Tensor& in, double f, double s) {
    Tensor out = Tensor::empty_like(in);
    DISPATCH(in, scale_forward, in, out, f, s, in.numel());
    return out;
  };
  return record("scale", line(x, factor, shift), {x},
                [=](const Tensor& dy) -> Grads { return {line(dy, factor, 0)}; });
}

}  // namespace rmt
