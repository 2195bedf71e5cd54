// The normal distribution on the device, for gelu.cu and the ops that apply GELU on the way.
#pragma once
#include <cmath>

#include "core/cuda/ptx.h"
#include "core/dtype.h"

namespace rmt::gpu {

template <class W>
struct Normal {
  W cdf, pdf;
};

// f32: gelu.cpp's 1 - Phi(a) = t P(t) exp(-a^2 / 2), t = 1 / (1 + 0.325 a), a = |x|; erfcf would be
// twice as many instructions, and memory would wait for them. bf16: t P(t) pdf(a) with a P of
// degree 3, fitted for the least relative error, 2e-4 for a <= 9, a tenth of what rounding to bf16
// costs.
template <class T>
__device__ __forceinline__ Normal<Wide<T>> normal(Wide<T> x) {
  if constexpr (std::is_same_v<T, double>) {
    return {0.5 * erfc(-x * 0.70710678118654752440), 0.39894228040143267794 * exp(-0.5 * x * x)};
  } else if constexpr (std::is_same_v<T, float>) {
    const float e = expf(-0.5f * x * x), t = 1 / (1 + 0.325f * fabsf(x));
    float p = t * 0.04511346739f - 0.2277843857f;
    p = p * t + 0.362716394f;
    p = p * t - 0.1192167157f;
    p = p * t + 0.1943451475f;
    p = p * t + 0.1138504325f;
    p = p * t + 0.1309756604f;
    const float tail = t * p * e;
    return {x < 0 ? tail : 1 - tail, e * 0.3989422804f};
  } else {
    const float pdf = ptx::exp2_approx(-0.72134752f * x * x - 1.3257480647f),
                t = ptx::reciprocal_approx(1 + 0.295f * fabsf(x));
    float p = t * 0.5885642240f + 0.0034036618f;
    p = p * t + 0.3754338639f;
    p = p * t + 0.2861617151f;
    const float tail = t * p * pdf;
    return {x < 0 ? tail : 1 - tail, pdf};
  }
}

// x Phi(x). bf16: x^+ - a (1 - Phi(a)), a = |x|, where 1 - Phi(a) = 2^Q(a). Q of degree 5 is fitted
// so that the result is right to 5e-5 and, where x < 0, to 4e-4 of itself for a <= 2.5, 2e-3 for
// a <= 4 and 7e-3 up to 8, where it is 5e-15: rounding to bf16 costs up to 4e-3. It has half the
// instructions of normal().
template <class T>
__device__ __forceinline__ Wide<T> gelu_of(Wide<T> x) {
  if constexpr (std::is_same_v<T, bf16>) {
    const float a = fabsf(x);
    float q = a * -0.00017310532f + 0.00417427020f;
    q = q * a - 0.04195906967f;
    q = q * a - 0.47362932563f;
    q = q * a - 1.14423155785f;
    q = q * a - 1.00052440166f;
    return fmaxf(x, 0) - a * ptx::exp2_approx(q);
  } else {
    return x * normal<T>(x).cdf;
  }
}

}  // namespace rmt::gpu
