// Matrix products on the device, by cuBLASLt (cublaslt.h). Internal to ops/.
//
//   multiply<T>(M, N, K, {x}, {w, kTransposed}, y, bias)   y (M, N) = x (M, K) w^T + bias, w (N, K)
//   multiply<T>(M, N, K, {dy}, {w}, dx)                    dx (M, N) = dy (M, K) w, w (K, N)
//   weight_gradient<T>(M, N, K, dy, x, dw, dbias)          dw (M, N) = dy^T x, dy (K, M), x (K, N)
//
// All matrices are row-major without gaps. Numbers in bf16 are multiplied exactly and summed in
// f32. The same shape gives the same bits on every run (gemm.cu says how).
#pragma once
#include <cstdint>
#include <type_traits>

#include "core/dtype.h"
#include "ops/kernels/cublaslt.h"

namespace rmt::gpu {

constexpr bool kTransposed = true;

template <class T>
struct Factor {
  const T* at;
  bool transposed = false;  // it is stored as the transpose of what enters the product
};

// C (M, N) = A (M, K) B (K, N) + bias (N) or null. With `accumulate` C += A B, without bias. Out is
// T or Wide<T>.
template <class T, class Out>
void multiply(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, Out* c,
              const std::type_identity_t<Out>* bias = nullptr, bool accumulate = false);

// sum (C) = sum over the rows of x (rows, C): the gradient of a bias.
template <class T>
void sum_rows(const T* x, Wide<T>* sum, int64_t rows, int64_t C);

// A linear layer's gradients: dw (O, I) = dy^T x and dbias (O) or null = the sum over the rows of
// dy, with dy (rows, O) and x (rows, I).
template <class T>
void weight_gradient(int64_t O, int64_t I, int64_t rows, const T* dy, const T* x, Wide<T>* dw,
                     Wide<T>* dbias);

// Into how many slices of equal length weight_gradient divides its sum over the rows: a function of
// the shape, the bytes of a number of x and of dw, and cuda::limits().
int64_t slices_of_sum(int64_t O, int64_t I, int64_t rows, size_t bytes, size_t bytes_of_sum);

// The product of cuBLASLt that is C = A B, aligned as these addresses are.
template <class T, class Out>
cublaslt::Product describe(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, const Out* c);

}  // namespace rmt::gpu
