// Addition:   y = a + b;   da = dy,   db = dy
#include "ops/add.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // add.cu
template <class T>
void add_forward(const T* a, const T* b, T* y, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void add_forward(View<const T> a, View<const T> b, View<T> y, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { y[i] = a[i] + b[i]; });
}

}  // namespace
}  // namespace cpu

Tensor ops::add(const Tensor& a, const Tensor& b) {
  expect_defined("add", "a", a);
  expect("add", "b", b, a.shape(), a.dtype());
  Tensor y = Tensor::empty_like(a);
  DISPATCH(a, add_forward, a, b, y, a.numel());
  return record("add", y, {a, b}, [](const Tensor& dy) -> Grads { return {dy, dy}; });
}

}  // namespace rmt
