// depthwise_conv2d.cpp's formulas, on the kernels of depthwise.cuh. A residual that is x itself is
// a 1 in the middle of the filter.
#include "ops/kernels/depthwise.cuh"
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
void depthwise_convolve(const T* x, const Wide<T>* w, const Wide<T>* bias, const T* residual, T* y,
                        const Map& m, bool reversed) {
  const Wide<T> centre = residual == x ? 1 : 0;
  if (residual && residual != x)
    depthwise::convolve(x, w, bias, y, m, reversed, centre, depthwise::AsItIs(),
                        AddResidual<T>{residual});
  else
    depthwise::convolve(x, w, bias, y, m, reversed, centre, depthwise::AsItIs(),
                        depthwise::AsItIs());
}

template <class T>
void depthwise_weight_gradient(const T* x, const T* dy, Wide<T>* dw, Wide<T>* dbias, const Map& m) {
  depthwise::weight_gradient(x, dy, dw, dbias, m, depthwise::AsItIs());
}

INSTANTIATE(depthwise_convolve)
INSTANTIATE(depthwise_weight_gradient)

}  // namespace rmt::gpu
