// y = sum_i x_i;   dx_i = dy
#include "ops/sum.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // sum.cu
template <class T>
void sum_forward(const T* x, Wide<T>* y, int64_t n);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec;

// Blocks of 2048 numbers in T, a lane each its own sum; from there on in double, so that the error
// does not grow with n.
template <class T>
void sum_forward(const T* x, T* y, int64_t n) {
  const int64_t parts = part_count(n, 1 << 15), block = 2048;
  std::vector<double> sums(static_cast<size_t>(parts));
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      for (int64_t begin = part_begin(n, parts, p), end = part_begin(n, parts, p + 1); begin < end;
           begin += block) {
        Vec<T> s{};
        simd::for_columns<T>(std::min(block, end - begin),
                             [&](int64_t i, auto count) { s += simd::load(x + begin + i, count); });
        sums[size_t(p)] += double(simd::sum<T>(s));
      }
  });
  double total = 0;
  for (double s : sums) total += s;
  *y = T(total);
}

}  // namespace
}  // namespace cpu

Tensor ops::sum(const Tensor& x) {
  expect_defined("sum", "x", x);
  Tensor y = Tensor::empty({}, wide(x.dtype()), x.device());
  DISPATCH(x, sum_forward, x, y, x.numel());
  return record("sum", y, {x}, [shape = x.shape(), dtype = x.dtype()](const Tensor& dy) -> Grads {
    return {Tensor::full(shape, dy.to(DType::f64).item<double>(), dtype, dy.device())};
  });
}

}  // namespace rmt
