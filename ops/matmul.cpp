// y = A B for each pair of a batch, where A is a or a^T, and B is b or b^T:
//
//   dA = dy B^T,   dB = A^T dy
//
// and since da is wanted as a is stored, da = dA^T = B dy^T where A = a^T; so with b.
#include "ops/matmul.h"
#include "core/parallel.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/multiply_adds.h"
#include "ops/kernels/transpose.h"

namespace rmt {
namespace gpu {  // matmul.cu
template <class T>
void matmul(const T* a, const T* b, T* y, int64_t batch, int64_t M, int64_t N, int64_t K,
            bool transpose_a, bool transpose_b);
}  // namespace gpu

namespace cpu {
namespace {

// One product, on all threads unless a piece of work calls: y (M, N) = A (M, K) B (K, N).
template <class T>
void multiply(const T* a, const T* b, T* y, int64_t M, int64_t N, int64_t K, bool transpose_a,
              bool transpose_b) {
  if (transpose_a && !transpose_b) return multiply_transposed<T>(M, N, K, a, M, b, N, y);
  std::vector<T> rows(transpose_a ? M * K : 0);
  if (transpose_a) transpose_matrix(K, M, a, M, rows.data(), K);
  const PackedB<T> packed(b, transpose_b ? 1 : N, transpose_b ? K : 1, K, N);
  multiply_rows<T>(M, transpose_a ? rows.data() : a, K, packed, {.c = y, .stride = N});
}

// Small products: some of them make a piece of work of about 2^20 multiply-adds. Large ones follow
// each other, all threads at each. It depends on their size alone, as the pieces do.
template <class T>
void matmul(const T* a, const T* b, T* y, int64_t batch, int64_t M, int64_t N, int64_t K,
            bool transpose_a, bool transpose_b) {
  if (batch * M * N == 0) return;
  const int64_t size = std::max<int64_t>(1, M * N * K);
  const bool large = size >= 1 << 22;
  parallel_for(batch, large ? batch : std::max<int64_t>(1, (1 << 20) / size),
               [=](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   multiply(a + i * M * K, b + i * K * N, y + i * M * N, M, N, K, transpose_a,
                            transpose_b);
               });
}

}  // namespace
}  // namespace cpu

namespace {

// Of a matrix as it is stored, or of its transpose.
int64_t rows_of(const Tensor& x, bool transposed) { return x.dim(transposed ? -1 : -2); }
int64_t columns_of(const Tensor& x, bool transposed) { return x.dim(transposed ? -2 : -1); }

Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b) {
  const int64_t M = rows_of(a, transpose_a), K = columns_of(a, transpose_a),
                N = columns_of(b, transpose_b);
  Shape shape = a.shape();
  shape.set(-2, M);
  shape.set(-1, N);
  int64_t batch = 1;
  for (int i = 0; i < a.rank() - 2; ++i) batch *= a.dim(i);
  Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  DISPATCH(a, matmul, a, b, y, batch, M, N, K, transpose_a, transpose_b);
  return y;
}

}  // namespace

Tensor ops::matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  expect_defined("matmul", "a", a);
  expect_defined("matmul", "b", b);
  bool fits = a.rank() >= 2 && a.rank() == b.rank() &&
              columns_of(a, transpose_a) == rows_of(b, transpose_b);
  for (int i = 0; fits && i < a.rank() - 2; ++i) fits = a.dim(i) == b.dim(i);
  CHECK(fits, "matmul: a ", a.shape(), " does not fit b ", b.shape(), ", expected a (..., ",
        transpose_a ? "K, M" : "M, K", ") and b (..., ", transpose_b ? "N, K" : "K, N",
        ") with equal leading dimensions");
  CHECK(a.dtype() == b.dtype(), "matmul: a ", a.shape(), " is ", a.dtype(), ", b ", b.shape(),
        " is ", b.dtype(), "; convert one with Tensor::to(DType)");
  Tensor y = product(a, transpose_a, b, transpose_b);
  count_multiply_adds(y.numel() * columns_of(a, transpose_a));
  const auto backward = [a = a.detach(), b = b.detach(), ta = transpose_a, tb = transpose_b,
                         need_a = needs_grad(a),
                         need_b = needs_grad(b)](const Tensor& dy) -> Grads {
    Tensor da, db;
    if (need_a) da = ta ? product(b, tb, dy, true) : product(dy, false, b, !tb);
    if (need_b) db = tb ? product(dy, true, a, ta) : product(a, !ta, dy, false);
    return {da, db};
  };
  return record("matmul", y, {a, b}, backward);
}

}  // namespace rmt
