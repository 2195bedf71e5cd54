// The sum of all elements:   y = sum_i x_i;   dx_i = dy
#include "ops/sum.h"

#include "core/elementwise.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // sum.cu
template <class T>
void sum_forward(const T* x, Wide<T>* y, int64_t n);
template <class T>
void sum_backward(const Wide<T>* dy, T* dx, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

// Blocks of 2048 numbers in T, a lane each its own sum; from there on in double, so that the error
// does not grow with n.
template <class T>
void sum_forward(const T* x, T* y, int64_t n) {
  constexpr int64_t block = 2048;
  const int64_t parts = part_count(n, 1 << 15);
  std::vector<double> sums(parts);
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      for (int64_t begin = part_begin(n, parts, p), end = part_begin(n, parts, p + 1); begin < end;
           begin += block) {
        const View<const T> few = x + begin;
        sums[p] += double(
            simd::sum_columns<T>(std::min(block, end - begin), [&](auto i) { return few[i]; }));
      }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  *y = T(total);
}

template <class T>
void sum_backward(const T* dy, View<T> dx, int64_t n) {
  simd::for_each<T>(n, [=](auto i) { dx[i] = simd::broadcast<T>(*dy); });
}

}  // namespace
}  // namespace cpu

Tensor ops::sum(const Tensor& x) {
  expect_defined("sum", "x", x);
  Tensor y = Tensor::empty({}, wide(x.dtype()), x.device());
  DISPATCH(x, sum_forward, x, y, x.numel());
  return record("sum", y, {x}, [shape = x.shape(), dtype = x.dtype()](const Tensor& dy) -> Grads {
    const Tensor dx = Tensor::empty(shape, dtype, dy.device());
    DISPATCH(dx, sum_backward, dy, dx, dx.numel());
    return {dx};
  });
}

}  // namespace rmt
