// y_bc = 1 / L sum over the L = H W positions of x;   dx = dy_bc / L at each position
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

template <class T>
void mean_pool_forward(const T* x, T* y, int64_t B, int64_t L, int64_t C) {
  simd::for_rows(B, L * C, [=](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      std::vector<double> sums = simd::sum_rows<T>(L, C, C, [=](int64_t l, int64_t last, T* part) {
        for (; l < last; ++l)
          simd::for_columns<T>(C, [&](int64_t c, auto count) {
            simd::store<T>(part + c,
                           simd::load(part + c, count) + simd::load(x + (b * L + l) * C + c, count),
                           count);
          });
      });
      for (int64_t c = 0; c < C; ++c) y[b * C + c] = T(sums[size_t(c)] / double(L));
    }
  });
}

template <class T>
void mean_pool_backward(const T* dy, T* dx, int64_t B, int64_t L, int64_t C) {
  const T scale = 1 / T(L);
  simd::for_rows(B * L, C, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      simd::for_columns<T>(C, [&](int64_t c, auto count) {
        simd::store<T>(dx + r * C + c, scale * simd::load(dy + r / L * C + c, count), count);
      });
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::mean_pool(const Tensor& x) {  // (B, H, W, C) -> (B, C)
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
