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
  using W = Wide<T>;
  __device__ __forceinline__ W operator()(W x) const { return x * normal<T>(x).cdf; }
  __device__ __forceinline__ depthwise::ValueAndSlope<W> both(W x) const {
    const auto [cdf, pdf] = normal<T>(x);
    return {x * cdf, cdf + x * pdf};
  }
};

}  // namespace

template <class T>
void gelu_depthwise_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, const Map& m) {
  depthwise::convolve(x, m.C, w, bias, y, m.C, m, false, Wide<T>(1), Gelu<T>(),
                      depthwise::AsItIs());
}

template <class T>
void gelu_depthwise_backward(const T* x, const T* dy, const Wide<T>* w, T* dx, Wide<T>* dw,
                             Wide<T>* dbias, const Map& m) {
  depthwise::backward(x, m.C, dy, w, dx, m.C, dw, dbias, m, Wide<T>(1), Gelu<T>());
}

INSTANTIATE(gelu_depthwise_forward)
INSTANTIATE(gelu_depthwise_backward)

}  // namespace rmt::gpu
