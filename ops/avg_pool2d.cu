// avg_pool2d.cpp's formulas, a thread to each 16 bytes of the result.
#include "ops/kernels/weigh_windows.cuh"

namespace rmt::gpu {

template <class T>
void avg_pool2d_forward(const T* x, T* y, const Maps<AverageAxis>& m) {
  weigh_windows("avg_pool2d_forward", x, y, m);
}

template <class T>
void avg_pool2d_backward(const T* dy, T* dx, const Maps<AverageAxis>& m) {
  weigh_windows("avg_pool2d_backward", dy, dx, transposed(m));
}

INSTANTIATE(avg_pool2d_forward)
INSTANTIATE(avg_pool2d_backward)

}  // namespace rmt::gpu
