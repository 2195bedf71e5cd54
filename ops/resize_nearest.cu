// resize_nearest.cpp's formulas, a thread to each 16 bytes of the result.
#include "ops/kernels/weigh_windows.cuh"

namespace rmt::gpu {

template <class T>
void resize_nearest_forward(const T* x, T* y, const Maps<NearestAxis>& m) {
  weigh_windows("resize_nearest_forward", x, y, m);
}

template <class T>
void resize_nearest_backward(const T* dy, T* dx, const Maps<NearestAxis>& m) {
  weigh_windows("resize_nearest_backward", dy, dx, transposed(m));
}

INSTANTIATE(resize_nearest_forward)
INSTANTIATE(resize_nearest_backward)

}  // namespace rmt::gpu
