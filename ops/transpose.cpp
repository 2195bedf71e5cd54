// Two dimensions, of extents A and B, change places. What lies before, between and behind them is
// one dimension each:
//
//   x (P, A, Q, B, R) -> y (P, B, Q, A, R),   y[p, b, q, a, r] = x[p, a, q, b, r]
//   dx = the same of dy: exchanging twice changes nothing
//
// For R > 1 rows of R neighbours move as they are. For R = 1 there are P Q matrices to transpose,
// (A, B) with rows Q B apart -> (B, A) with rows Q A apart.
#include "ops/transpose.h"
#include <utility>

#include "ops/kernels/axis.h"
#include "ops/kernels/copy_rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/transpose.h"

namespace rmt {
namespace gpu {  // transpose.cu
template <class T>
void transpose_rows(const T* x, T* y, int64_t P, int64_t A, int64_t Q, int64_t B, int64_t R);
template <class T>
void transpose_matrices(const T* x, T* y, int64_t P, int64_t A, int64_t Q, int64_t B);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void transpose_rows(const T* x, T* y, int64_t P, int64_t A, int64_t Q, int64_t B, int64_t R) {
  copy_rows(P * B * Q * A, R, x, SwappedRow{R, uint32_t(A), uint32_t(Q), uint32_t(B)}, y,
            EveryRow{R});
}

// A piece of work is some stripes of V rows of a matrix.
template <class T>
void transpose_matrices(const T* x, T* y, int64_t P, int64_t A, int64_t Q, int64_t B) {
  constexpr int64_t V = simd::lanes<T>;
  const int64_t stripes = (A + V - 1) / V;
  simd::for_each_row(P * Q * stripes, V * B, [=](int64_t s) {
    const int64_t p = s / stripes / Q, q = s / stripes % Q, a = s % stripes * V;
    transpose_matrix(std::min(V, A - a), B, x + ((p * A + a) * Q + q) * B, Q * B,
                     y + (p * B * Q + q) * A + a, Q * A);
  });
}

}  // namespace
}  // namespace cpu

namespace {

// a <= b, from 0.
Tensor transposed(const Tensor& x, int a, int b) {
  Shape shape = x.shape();
  shape.set(a, x.dim(b));
  shape.set(b, x.dim(a));
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  if (x.numel() == 0) return y;
  int64_t P = 1, Q = 1, R = 1;
  for (int i = 0; i < x.rank(); ++i)
    if (i != a && i != b) (i < a ? P : i < b ? Q : R) *= x.dim(i);
  const int64_t A = a == b ? 1 : x.dim(a), B = x.dim(b);
  if (R == 1) {
    DISPATCH(x, transpose_matrices, x, y, P, A, Q, B);
  } else {
    CHECK(x.numel() / R < int64_t(1) << 32, "transpose: x ", x.shape(), " has ", x.numel() / R,
          " rows of ", R, " numbers that move together, expected fewer than 2^32");
    DISPATCH(x, transpose_rows, x, y, P, A, Q, B, R);
  }
  return y;
}

}  // namespace

Tensor ops::transpose(const Tensor& x, int a, int b) {
  a = expect_axis("transpose", "x", x, a).axis;
  b = expect_axis("transpose", "x", x, b).axis;
  if (a > b) std::swap(a, b);
  return record("transpose", transposed(x, a, b), {x},
                [a, b](const Tensor& dy) -> Grads { return {transposed(dy, a, b)}; });
}

}  // namespace rmt
