// e^x and a / b for results of type T: right to a rounding or two for f32 and f64; for results that
// are rounded to bf16 the GPU's approximate instructions, right to 2^-18 where bf16 keeps 2^-9, at
// a fraction of the instructions. Numbers below 2^-126 count as 0 there.
#pragma once
#include <cmath>

#include "core/cuda/ptx.h"
#include "core/dtype.h"

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

template <class T>
__device__ __forceinline__ Wide<T> quotient_for(Wide<T> a, Wide<T> b) {
  if constexpr (std::is_same_v<T, bf16>)
    return a * ptx::reciprocal_approx(b);
  else
    return a / b;
}

}  // namespace rmt::cuda
