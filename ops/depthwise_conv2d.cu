// depthwise_conv2d.cpp's formulas, on the kernels of depthwise.cuh. A residual that is x itself is
// a 1 in the middle of the filter.
#include "ops/kernels/depthwise.cuh"
#include "ops/kernels/depthwise_calls.h"
#include "ops/kernels/depthwise_gradient.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct AddResidual {
  const T* more;
  __device__ __forceinline__ Wide<T> operator()(Wide<T> y, Wide<T> residual) const {
    return y + residual;
  }
};

}  // namespace

template <class T>
void depthwise_convolve(const T* x, int64_t x_stride, const Wide<T>* w, const Wide<T>* bias,
                        const T* residual, T* y, int64_t y_stride, const Map& m, bool reversed) {
  const Wide<T> centre = residual == x ? 1 : 0;
  if (residual && residual != x)
    depthwise::convolve(x, x_stride, w, bias, y, y_stride, m, reversed, centre, depthwise::AsItIs(),
                        AddResidual<T>{residual});
  else
    depthwise::convolve(x, x_stride, w, bias, y, y_stride, m, reversed, centre, depthwise::AsItIs(),
                        depthwise::AsItIs());
}

template <class T>
void depthwise_backward(const T* x, int64_t x_stride, const T* dy, const Wide<T>* w, T* dx,
                        int64_t dx_stride, Wide<T>* dw, Wide<T>* dbias, const Map& m,
                        bool residual_is_x) {
  depthwise::backward(x, x_stride, dy, w, dx, dx_stride, dw, dbias, m, Wide<T>(residual_is_x),
                      depthwise::AsItIs());
}

INSTANTIATE(depthwise_convolve)
INSTANTIATE(depthwise_backward)

}  // namespace rmt::gpu
