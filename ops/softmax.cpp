// Softmax over the last dimension: positive numbers that sum to 1. Derived in ops/README.md.
//
//   y_i = exp(x_i - max) / sum_j exp(x_j - max)
//   dx_i = y_i (dy_i - sum_j dy_j y_j)
//
// Without the maximum the quotient would be the same, but exp would overflow. Backward needs y, not
// x.
#include "ops/softmax.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // softmax.cu
template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t M);
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t M);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
void softmax_forward(View<const T> x, View<T> y, int64_t rows, int64_t M) {
  simd::for_each_row(rows, M, [=](int64_t r) {
    const T most = simd::max_columns<T>(M, [&](auto i) { return x(r, i); });
    const T total = simd::sum_columns<T>(M, [&](auto i) {
      const Vec<T> e = simd::exp(x(r, i) - most);
      y(r, i) = e;
      return e;
    });
    const T scale = 1 / total;
    simd::for_columns<T>(M, [&](auto i) { y(r, i) *= scale; });
  });
}

template <class T>
void softmax_backward(View<const T> y, View<const T> dy, View<T> dx, int64_t rows, int64_t M) {
  simd::for_each_row(rows, M, [=](int64_t r) {
    const T dot = simd::sum_columns<T>(M, [&](auto i) { return dy(r, i) * y(r, i); });
    simd::for_columns<T>(M, [&](auto i) { dx(r, i) = y(r, i) * (dy(r, i) - dot); });
  });
}

}  // namespace
}  // namespace cpu

// x (..., M)
Tensor ops::softmax(const Tensor& x) {
  const int64_t M = expect_columns("softmax", "x", x), rows = x.numel() / M;
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, softmax_forward, x, y, rows, M);
  return record("softmax", y, {x}, [y = y.detach(), rows, M](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(y);
    DISPATCH(y, softmax_backward, y, dy, dx, rows, M);
    return {dx};
  });
}

}  // namespace rmt
