// resize_bilinear.cpp's formulas, a thread to each 16 bytes of the result.
#include "ops/kernels/weigh_windows.cuh"

namespace rmt::gpu {

template <class T>
void resize_bilinear_forward(const T* x, T* y, const Maps<BilinearAxis>& m) {
  weigh_windows("resize_bilinear_forward", x, y, m);
}

template <class T>
void resize_bilinear_backward(const T* dy, T* dx, const Maps<BilinearAxis>& m) {
  weigh_windows("resize_bilinear_backward", dy, dx, transposed(m));
}

INSTANTIATE(resize_bilinear_forward)
INSTANTIATE(resize_bilinear_backward)

}  // namespace rmt::gpu
