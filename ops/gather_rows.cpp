// Rows of x (N, C), by their numbers:
//
//   y_i = x_(index_i);   dx_v = sum over the i with index_i = v of dy_i
//
// The gradient scatters rows of dy. Each piece of dx goes through the whole index and takes the
// rows that are its own, in their order.
#include "ops/gather_rows.h"

#include <algorithm>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // gather_rows.cu
template <class T>
void gather_rows_forward(const T* x, const int64_t* index, T* y, int64_t M, int64_t N, int64_t C);
template <class T>
void gather_rows_backward(const T* dy, const int64_t* index, T* dx, int64_t M, int64_t N,
                          int64_t C);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void gather_rows_forward(const T* x, const int64_t* index, T* y, int64_t M, int64_t N, int64_t C) {
  for (int64_t i = 0; i < M; ++i)
    CHECK(index[i] >= 0 && index[i] < N, "gather_rows: index ", i, " is ", index[i],
          ", expected one of 0 ... ", N - 1);
  simd::for_each_row(M, C, [=](int64_t i) { std::copy_n(x + index[i] * C, C, y + i * C); });
}

template <class T>
void gather_rows_backward(View<const T> dy, const int64_t* index, View<T> dx, int64_t M, int64_t N,
                          int64_t C) {
  const int64_t parts = part_count(N, simd::row_grain(C));
  parallel_for(parts, 1, [=](int64_t first, int64_t last) {
    const int64_t begin = part_begin(N, parts, first), end = part_begin(N, parts, last);
    std::fill_n(dx.data() + begin * C, (end - begin) * C, T(0));
    for (int64_t i = 0; i < M; ++i)
      if (const int64_t v = index[i]; v >= begin && v < end)
        simd::for_columns<T>(C, [=](auto c) { dx(v, c) += dy(i, c); });
  });
}

}  // namespace
}  // namespace cpu

// x (N, C), index (M) -> (M, C)
Tensor ops::gather_rows(const Tensor& x, const Tensor& index) {
  expect_defined("gather_rows", "x", x);
  expect_defined("gather_rows", "index", index);
  CHECK(x.rank() == 2 && x.dim(1) > 0, "gather_rows: x is ", x.shape(),
        ", expected (N, C) with C > 0");
  CHECK(index.rank() == 1 && index.dtype() == DType::i64, "gather_rows: index is ", index.dtype(),
        " ", index.shape(), ", expected i64 (M)");
  const int64_t M = index.dim(0), N = x.dim(0), C = x.dim(1);
  Tensor y = Tensor::empty({M, C}, x.dtype(), x.device());
  DISPATCH(x, gather_rows_forward, x, index, y, M, N, C);
  return record("gather_rows", y, {x},
                [index = index.detach(), M, N, C](const Tensor& dy) -> Grads {
                  Tensor dx = Tensor::empty({N, C}, dy.dtype(), dy.device());
                  DISPATCH(dy, gather_rows_backward, dy, index, dx, M, N, C);
                  return {dx};
                });
}

}  // namespace rmt
