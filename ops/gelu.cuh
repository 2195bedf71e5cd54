// The normal distribution on the device, for gelu.cu and the ops that apply GELU on the way.
#pragma once
#include "core/cuda/math.cuh"

namespace rmt::gpu {

template <class W>
struct Normal {
  W cdf, pdf;
};

// gelu.cpp's polynomial: erfcf would be twice as many instructions, and memory would wait for them. f32 and bf16 differ in the exponential and the quotient.
template <class T>
__device__ __forceinline__ Normal<Wide<T>> normal(Wide<T> x) {
  if constexpr (std::is_same_v<T, double>) {
    return {0.5 * erfc(-x * 0.70710678118654752440), 0.39894228040143267794 * exp(-0.5 * x * x)};
  } else {
    const float e = cuda::exp_for<T>(-0.5f * x * x), t = cuda::quotient_for<T>(1, 1 + 0.325f * fabsf(x));
    float p = t * 0.04511346739f - 0.2277843857f;
    p = p * t + 0.362716394f;
    p = p * t - 0.1192167157f;
    p = p * t + 0.1943451475f;
    p = p * t + 0.1138504325f;
    p = p * t + 0.1309756604f;
    const float tail = t * p * e;
    return {x < 0 ? tail : 1 - tail, e * 0.3989422804f};
  }
}

}  // namespace rmt::gpu
