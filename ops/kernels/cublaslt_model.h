// What a call of cuBLASLt computes, in plain loops on the host, by nothing but its description
// (cublaslt.h) and the library's documentation. Small products go through the loops of the
// definition; large ones, which would take too long so, through the CPU's products (gemm.h), whose
// strides are those of the description too. The tests compare the two, and on a GPU both with the
// library.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "ops/kernels/cublaslt.h"
#include "ops/kernels/gemm.h"

namespace rmt::gpu::cublaslt {

// Element (i, j) of op(x) is number i * down + j * right.
struct Strides {
  int64_t down, right;
};
inline Strides strides_of(const Matrix& x, bool transposed) {
  return transposed ? Strides{x.leading, 1} : Strides{1, x.leading};
}

// Why the library would refuse the product, or "".
inline std::string fault(const Product& p) {
  const int64_t M = p.transpose_a ? p.a.columns : p.a.rows,
                K = p.transpose_a ? p.a.rows : p.a.columns,
                also_K = p.transpose_b ? p.b.columns : p.b.rows,
                N = p.transpose_b ? p.b.rows : p.b.columns;
  if (K != also_K || M != p.d.rows || N != p.d.columns)
    return str("op(a) (", M, ", ", K, ") op(b) (", also_K, ", ", N, ") is no d (", p.d.rows, ", ",
               p.d.columns, ")");
  for (const Matrix* x : {&p.a, &p.b, &p.d}) {
    if (x->rows < 1 || x->columns < 1) return "a matrix is empty";
    if (x->leading < x->rows)
      return str("columns of ", x->rows, " numbers, ", x->leading, " apart, overlap");
    if (int64_t(size_of(x->type)) > x->alignment)
      return str("numbers of ", size_of(x->type), " bytes aligned to ", x->alignment);
    const int64_t apart = x->batch_stride * int64_t(size_of(x->type));
    if (p.batch > 1 && apart % x->alignment != 0)
      return str("matrices ", apart, " bytes apart, aligned to ", x->alignment);
  }
  if (p.batch < 1) return str(p.batch, " products");
  if (p.batch > 1 && p.d.batch_stride < (p.d.columns - 1) * p.d.leading + p.d.rows)
    return str("results ", p.d.batch_stride, " numbers apart overlap");
  if (p.batch > 1 && p.epilogue == Epilogue::sums_of_b && p.bias_stride < N)
    return str("sums ", p.bias_stride, " numbers apart overlap");
  if (p.a.type != p.b.type) return "a and b differ in type";
  if (p.a.type != p.d.type && !(p.a.type == DType::bf16 && p.d.type == DType::f32))
    return "d has a type that does not go with a's";
  return "";
}

// Any type's number in f64.
template <class T>
double number(T x) {
  return double(Wide<T>(x));
}

// By the definition. Sums are in f64 here.
template <class T, class Out>
void compute_in_loops(const Product& p, const T* a, const T* b, Out* d, Out* bias,
                      bool accumulate) {
  const Strides in_a = strides_of(p.a, p.transpose_a), in_b = strides_of(p.b, p.transpose_b);
  const int64_t K = p.transpose_a ? p.a.rows : p.a.columns;
  for (int64_t j = 0; j < p.d.columns; ++j) {
    for (int64_t i = 0; i < p.d.rows; ++i) {
      Out& to = d[i + j * p.d.leading];
      double sum = accumulate ? number(to) : 0;
      for (int64_t k = 0; k < K; ++k)
        sum +=
            number(a[i * in_a.down + k * in_a.right]) * number(b[k * in_b.down + j * in_b.right]);
      to = Out(Wide<Out>(p.epilogue == Epilogue::bias ? sum + number(bias[i]) : sum));
    }
  }
}

// The numbers of x, and of the gaps between its columns, in the type that is computed in.
template <class T>
std::vector<Wide<T>> widened(const T* x, const Matrix& m) {
  std::vector<Wide<T>> y(size_t((m.columns - 1) * m.leading + m.rows));
  for (size_t i = 0; i < y.size(); ++i) y[i] = Wide<T>(x[i]);
  return y;
}

// The same by the CPU's product d^T = op(b)^T op(a)^T, since that stores by rows.
template <class T, class Out>
void compute_fast(const Product& p, const T* a, const T* b, Out* d, Out* bias, bool accumulate) {
  using W = Wide<T>;
  const Strides in_a = strides_of(p.a, p.transpose_a), in_b = strides_of(p.b, p.transpose_b);
  const int64_t K = p.transpose_a ? p.a.rows : p.a.columns, M = p.d.rows, N = p.d.columns;
  const std::vector<W> wide_a = widened(a, p.a);
  std::vector<W> rows(size_t(N * K)), sums(size_t(N * M)), wide_bias;
  for (int64_t j = 0; j < N; ++j)
    for (int64_t k = 0; k < K; ++k) rows[size_t(j * K + k)] = W(b[k * in_b.down + j * in_b.right]);
  if (accumulate)
    for (int64_t j = 0; j < N; ++j)
      for (int64_t i = 0; i < M; ++i) sums[size_t(j * M + i)] = W(d[i + j * p.d.leading]);
  if (p.epilogue == Epilogue::bias)
    for (int64_t i = 0; i < M; ++i) wide_bias.push_back(W(bias[i]));
  const cpu::PackedB<W> packed(wide_a.data(), in_a.right, in_a.down, K, M);
  cpu::multiply_rows<W>(
      N, rows.data(), K, packed,
      {sums.data(), M, wide_bias.empty() ? nullptr : wide_bias.data(), accumulate});
  for (int64_t j = 0; j < N; ++j)
    for (int64_t i = 0; i < M; ++i) d[i + j * p.d.leading] = Out(sums[size_t(j * M + i)]);
}

// How a product is computed: small ones in loops.
enum class Way { by_size, in_loops, fast };

template <class T, class Out>
void compute_typed(const Product& p, const Operands& at, Way way) {
  const Strides in_b = strides_of(p.b, p.transpose_b);
  const int64_t K = p.transpose_a ? p.a.rows : p.a.columns;
  const bool small = p.d.rows * p.d.columns * K <= 1 << 15;
  for (int64_t n = 0; n < p.batch; ++n) {
    const T* a = static_cast<const T*>(at.a) + n * p.a.batch_stride;
    const T* b = static_cast<const T*>(at.b) + n * p.b.batch_stride;
    Out* d = static_cast<Out*>(at.d) + n * p.d.batch_stride;
    Out* bias = at.bias ? static_cast<Out*>(at.bias) + n * p.bias_stride : nullptr;
    if (way == Way::in_loops || (way == Way::by_size && small))
      compute_in_loops(p, a, b, d, bias, at.accumulate);
    else
      compute_fast(p, a, b, d, bias, at.accumulate);
    for (int64_t j = 0; p.epilogue == Epilogue::sums_of_b && j < p.d.columns; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) sum += number(b[k * in_b.down + j * in_b.right]);
      bias[j] = Out(Wide<Out>(sum));
    }
  }
}

// Of operands in the host's memory. Throws Error for what the library would refuse.
inline void compute(const Product& p, const Operands& at, Way way = Way::by_size) {
  const std::string wrong = fault(p);
  CHECK(wrong.empty(), "cuBLASLt would refuse this product: ", wrong);
  CHECK((p.epilogue == Epilogue::none) == (at.bias == nullptr),
        "cuBLASLt: a bias without an epilogue, or an epilogue without a bias");
  if (p.a.type == DType::f64) return compute_typed<double, double>(p, at, way);
  if (p.a.type == DType::f32) return compute_typed<float, float>(p, at, way);
  if (p.d.type == DType::f32) return compute_typed<bf16, float>(p, at, way);
  compute_typed<bf16, bf16>(p, at, way);
}

}  // namespace rmt::gpu::cublaslt
