// y = x s,  s = 1 / (1 + exp(-x));   dx = dy s (1 + x (1 - s))
#include "ops/silu.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // silu.cu
template <class T>
void silu_forward(const T* x, T* y, int64_t n);
template <class T>
void silu_backward(const T* x, const T* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec;

template <class T>
void silu_forward(const T* x, T* y, int64_t n) {
  simd::for_vectors<T>(n, [=](int64_t i, int count) {
    Vec<T> v = simd::load(x + i, count);
    simd::store<T>(y + i, v / (T(1) + simd::exp(-v)), count);
  });
}

template <class T>
void silu_backward(const T* x, const T* dy, T* dx, int64_t n) {
  simd::for_vectors<T>(n, [=](int64_t i, int count) {
    Vec<T> v = simd::load(x + i, count), s = T(1) / (T(1) + simd::exp(-v));
    simd::store<T>(dx + i, simd::load(dy + i, count) * s * (T(1) + v * (T(1) - s)), count);
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::silu(const Tensor& x) {
  expect_defined("silu", "x", x);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, silu_forward, x, y, x.numel());
  return record("silu", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH(x, silu_backward, x, dy, dx, x.numel());
    return {dx};
  });
}

}  // namespace rmt
