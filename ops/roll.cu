// roll.cpp's two copies, a thread to each 16 bytes of a row.
#include "ops/kernels/copy_rows.cuh"

namespace rmt::gpu {

template <class T>
void roll(const T* x, T* y, int64_t rows, int64_t width, int64_t shift) {
  const EveryRow row{width};
  copy_rows("roll", rows, width - shift, x, row, y + shift, row);
  copy_rows("roll", rows, shift, x + (width - shift), row, y, row);
}

INSTANTIATE(roll)

}  // namespace rmt::gpu
