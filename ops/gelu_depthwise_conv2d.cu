// gelu_depthwise_conv2d.cpp's formulas, on the kernels of depthwise.cuh: GELU is applied to each
// number of x as it comes in, several times for a number that several strips read, which costs less
// than writing g and reading it again. `g +` is a 1 in the middle of the filter.
#include "ops/kernels/depthwise.cuh"
#include "ops/kernels/depthwise_gradient.cuh"
#include "ops/kernels/gelu.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Gelu {
  __device__ __forceinline__ Wide<T> operator()(Wide<T> x) const { return x * normal<T>(x).cdf; }
};

// dg gelu'(x)
template <class T>
struct TimesDerivative {
  const T* more;
  __device__ __forceinline__ Wide<T> operator()(Wide<T> dg, Wide<T> x) const {
    const auto [cdf, pdf] = normal<T>(x);
    return dg * (cdf + x * pdf);
  }
};

}  // namespace

template <class T>
void gelu_depthwise_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, const Map& m) {
  depthwise::convolve(x, m.C, w, bias, y, m.C, m, false, Wide<T>(1), Gelu<T>(),
                      depthwise::AsItIs());
}

template <class T>
void gelu_depthwise_backward_x(const T* x, const T* dy, const Wide<T>* w, T* dx, const Map& m) {
  depthwise::convolve<T>(dy, m.C, w, nullptr, dx, m.C, m, true, Wide<T>(1), depthwise::AsItIs(),
                         TimesDerivative<T>{x});
}

template <class T>
void gelu_depthwise_backward_w(const T* x, const T* dy, Wide<T>* dw, Wide<T>* dbias, const Map& m) {
  depthwise::weight_gradient(x, m.C, dy, dw, dbias, m, Gelu<T>());
}

INSTANTIATE(gelu_depthwise_forward)
INSTANTIATE(gelu_depthwise_backward_x)
INSTANTIATE(gelu_depthwise_backward_w)

}  // namespace rmt::gpu
