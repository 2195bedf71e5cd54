// slice.cpp's formulas, a thread to each 16 bytes of a row.
#include "ops/kernels/copy_rows.cuh"

namespace rmt::gpu {

template <class T>
void slice_forward(const T* x, T* y, int64_t rows, int64_t width, int64_t first, int64_t stride) {
  copy_rows("slice_forward", rows, width, x + first, EveryRow{stride}, y, EveryRow{width});
}

template <class T>
void slice_backward(const T* dy, T* dx, int64_t rows, int64_t width, int64_t first,
                    int64_t stride) {
  copy_rows("slice_backward", rows, width, dy, EveryRow{width}, dx + first, EveryRow{stride});
}

INSTANTIATE(slice_forward)
INSTANTIATE(slice_backward)

}  // namespace rmt::gpu
