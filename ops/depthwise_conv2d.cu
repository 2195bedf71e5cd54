// depthwise_conv2d.cpp's formulas, on the kernels of depthwise.cuh. A residual that is x itself is a 1 in the middle of the filter.
#include "ops/depthwise.cuh"

namespace rmt::gpu {
namespace {

struct Same {
  template <class W>
  __device__ W operator()(W x) const {
    return x;
  }
};

// + residual; null: nothing.
template <class T>
struct AddResidual {
  const T* residual;
  template <int N>
  __device__ cuda::Values<Wide<T>, N> operator()(cuda::Values<Wide<T>, N> y, int64_t at) const {
    if (!residual) return y;
    const auto more = cuda::load<N>(residual + at);
#pragma unroll
    for (int n = 0; n < N; ++n) y.at[n] += more.at[n];
    return y;
  }
};

}  // namespace

template <class T>
void depthwise_convolve(const T* x, const Wide<T>* w, const Wide<T>* bias, const T* residual, T* y, const Map& m, bool reversed) {
  const bool identity = residual == x;
  depthwise::convolve(x, w, bias, y, m, reversed, Wide<T>(identity), Same(), AddResidual<T>{identity ? nullptr : residual});
}

template <class T>
void depthwise_weight_gradient(const T* x, const T* dy, Wide<T>* dw, Wide<T>* dbias, const Map& m) {
  depthwise::weight_gradient(x, dy, dw, dbias, m, Same());
}

#define INSTANTIATE(T)                                                                                        \
  template void depthwise_convolve(const T*, const Wide<T>*, const Wide<T>*, const T*, T*, const Map&, bool); \
  template void depthwise_weight_gradient(const T*, const T*, Wide<T>*, Wide<T>*, const Map&);
FOR_EACH_TYPE(INSTANTIATE)

}  // namespace rmt::gpu
