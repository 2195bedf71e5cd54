// The functions of the kernels: e^x and a / b for results of type T: right to a rounding or two for
// f32 and f64; for results that are rounded to bf16 by the GPU's approximate instructions, right to
// 2^-18 where bf16 keeps 2^-9, at a fraction of the instructions. Numbers below 2^-126 count as 0
// there.
#pragma once
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/ptx.h"

namespace rmt::cuda {

__device__ __forceinline__ float exact_exp(float x) { return expf(x); }
__device__ __forceinline__ double exact_exp(double x) { return ::exp(x); }
__device__ __forceinline__ float square_root(float x) { return sqrtf(x); }
__device__ __forceinline__ double square_root(double x) { return ::sqrt(x); }

template <class T>
__device__ __forceinline__ Wide<T> exp_for(Wide<T> x) {
  if constexpr (std::is_same_v<T, bf16>)
    return ptx::exp2_approx(x * 1.44269504f);
  else
    return exact_exp(x);
}

// The same of N numbers.
template <class T, int N>
__device__ __forceinline__ Values<T, N> exact_exp(const Values<T, N>& x) {
  return Values<T, N>::map([](T x_n) { return exact_exp(x_n); }, x);
}
template <class T, int N>
__device__ __forceinline__ Values<Wide<T>, N> exp_for(const Values<Wide<T>, N>& x) {
  return Values<Wide<T>, N>::map([](Wide<T> x_n) { return exp_for<T>(x_n); }, x);
}

template <class T>
__device__ __forceinline__ Wide<T> quotient_for(Wide<T> a, Wide<T> b) {
  if constexpr (std::is_same_v<T, bf16>)
    return a * ptx::reciprocal_approx(b);
  else
    return a / b;
}

}  // namespace rmt::cuda
