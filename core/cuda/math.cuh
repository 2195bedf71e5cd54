// e^x and a / b for results of type T: right to a rounding or two for f32 and f64; for results that are rounded to bf16 the GPU's approximate instructions,
// right to 2^-21 where bf16 keeps 2^-9, and several times as fast.
#pragma once
#include <cmath>

#include "core/cuda/runtime.h"
#include "core/dtype.h"

namespace rmt::cuda {

__device__ __forceinline__ float exact_exp(float x) { return expf(x); }
__device__ __forceinline__ double exact_exp(double x) { return ::exp(x); }
__device__ __forceinline__ float square_root(float x) { return sqrtf(x); }
__device__ __forceinline__ double square_root(double x) { return ::sqrt(x); }

template <class T>
__device__ __forceinline__ Wide<T> exp_for(Wide<T> x) {
  if constexpr (std::is_same_v<T, bf16>)
    return __expf(x);
  else
    return exact_exp(x);
}

template <class T>
__device__ __forceinline__ Wide<T> quotient_for(Wide<T> a, Wide<T> b) {  // with bf16: 0 where |b| > 2^126
  if constexpr (std::is_same_v<T, bf16>)
    return __fdividef(a, b);
  else
    return a / b;
}

}  // namespace rmt::cuda
