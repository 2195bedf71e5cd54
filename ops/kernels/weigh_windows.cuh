// weigh_windows.h on a GPU, a thread to each 16 bytes of y; sums in f32 where x is bf16. Each
// window is read by one thread: for few and very large windows that are the whole map there is
// mean_pool. Internal to ops/.
#pragma once
#include "ops/kernels/on_map.cuh"

namespace rmt::gpu {

template <class T, class Axis>
struct WeighWindows : OnMap {
  const T* x;
  Maps<Axis> m;
  template <int N>
  __device__ cuda::Values<Wide<T>, N> operator()(Channels<N> c, const Pixel& o) const {
    const Range rows = m.rows.of(o.row), columns = m.columns.of(o.column);
    cuda::Values<Wide<T>, N> sum = 0;
    // Windows are small, and map_columns has two pixels in flight: unrolling buys nothing, and the
    // divisions of the weights would spill the registers that it costs.
#pragma unroll 1
    for (int i = rows.begin; i < rows.end; ++i) {
      const Wide<T> weight_i = m.rows.template weight<Wide<T>>(o.row, i);
#pragma unroll 1
      for (int j = columns.begin; j < columns.end; ++j)
        sum += cuda::load<N>(x + m.x_at(o.image, i, j) * m.C + c.first) *
               (weight_i * m.columns.template weight<Wide<T>>(o.column, j));
    }
    return sum;
  }
};

template <class T, class Axis>
void weigh_windows(const char* name, const T* x, T* y, const Maps<Axis>& m) {
  const WeighWindows<T, Axis> f{{unsigned(m.rows.count), unsigned(m.columns.count)}, x, m};
  cuda::map_columns(name, f, cuda::aligned(x), y, m.y_pixels(), m.C);
}

}  // namespace rmt::gpu
