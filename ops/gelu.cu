// gelu.cpp's formulas, a thread to each 16 bytes.
#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"

namespace rmt::gpu {
namespace {

template <class W>
struct Normal {
  W cdf, pdf;
};

// gelu.cpp's polynomial: erfcf would be twice as many instructions, and memory would wait for them. f32 and bf16 differ in the exponential and the quotient.
template <class T>
__device__ Normal<Wide<T>> normal(Wide<T> x) {
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

template <class T>
struct Forward {
  using W = Wide<T>;
  __device__ W operator()(W x) const { return x * normal<T>(x).cdf; }
};

template <class T>
struct Backward {
  using W = Wide<T>;
  __device__ W operator()(W x, W dy) const {
    const Normal<W> n = normal<T>(x);
    return dy * (n.cdf + x * n.pdf);
  }
};

}  // namespace

template <class T>
void gelu_forward(const T* x, T* y, int64_t n) {
  cuda::map("gelu_forward", Forward<T>(), y, n, x);
}

template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, int64_t n) {
  cuda::map("gelu_backward", Backward<T>(), dx, n, x, dy);
}

#define INSTANTIATE(T)                               \
  template void gelu_forward(const T*, T*, int64_t); \
  template void gelu_backward(const T*, const T*, T*, int64_t);
FOR_EACH_TYPE(INSTANTIATE)

}  // namespace rmt::gpu
