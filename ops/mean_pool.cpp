// The mean over the L = H W positions of a map.
//
//   y_bc = 1 / L sum_l x_blc;   dx_blc = dy_bc / L
#include "ops/mean_pool.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // mean_pool.cu
template <class T>
void mean_pool_forward(const T* x, T* y, int64_t B, int64_t L, int64_t C);
template <class T>
void mean_pool_backward(const T* dy, T* dx, int64_t B, int64_t L, int64_t C);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void mean_pool_forward(View<const T> x, T* y, int64_t B, int64_t L, int64_t C) {
  simd::for_each_row(B, L * C, [=](int64_t b) {
    const auto add_position = [=](int64_t l, View<T> sums) {
      simd::for_columns<T>(C, [&](auto c) { sums[c] += x(b * L + l, c); });
    };
    const std::vector<double> sums = simd::sum_rows<T>(L, C, C, add_position);
    for (int64_t c = 0; c < C; ++c) y[b * C + c] = T(sums[c] / double(L));
  });
}

template <class T>
void mean_pool_backward(View<const T> dy, View<T> dx, int64_t B, int64_t L, int64_t C) {
  const T scale = 1 / T(L);
  simd::for_each_row(B * L, C, [=](int64_t r) {
    simd::for_columns<T>(C, [&](auto c) { dx(r, c) = scale * dy(r / L, c); });
  });
}

}  // namespace
}  // namespace cpu

// x (B, H, W, C) -> (B, C)
Tensor ops::mean_pool(const Tensor& x) {
  expect_defined("mean_pool", "x", x);
  CHECK(x.rank() == 4 && x.dim(1) * x.dim(2) > 0, "mean_pool: x is ", x.shape(),
        ", expected (B, H, W, C) with H W > 0");
  const int64_t B = x.dim(0), L = x.dim(1) * x.dim(2), C = x.dim(3);
  Tensor y = Tensor::empty({B, C}, x.dtype(), x.device());
  DISPATCH(x, mean_pool_forward, x, y, B, L, C);
  return record("mean_pool", y, {x}, [shape = x.shape(), B, L, C](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
    DISPATCH(dy, mean_pool_backward, dy, dx, B, L, C);
    return {dx};
  });
}

}  // namespace rmt
