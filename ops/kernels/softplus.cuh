// softplus.h on a GPU.
#pragma once
#include "core/cuda/math.cuh"

namespace rmt::cuda {

__device__ __forceinline__ float log_1p(float x) { return log1pf(x); }
__device__ __forceinline__ double log_1p(double x) { return ::log1p(x); }

// log(1 + e^-|x|)
template <class W>
__device__ __forceinline__ W log_1p_exp(W x) {
  return log_1p(exact_exp(x > 0 ? -x : x));
}

}  // namespace rmt::cuda
