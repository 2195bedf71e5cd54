// max_pool2d.cpp's formulas, a thread to each 16 bytes of y or of dx.
#include <limits>

#include "ops/kernels/on_map.cuh"

namespace rmt::gpu {
namespace {

template <class T>
struct Forward : OnMap {
  const T* x;
  Wide<T>* winner;
  Maps<SlidingAxis> m;
  template <int N>
  __device__ cuda::Values<Wide<T>, N> operator()(Channels<N> c, const Pixel& o) const {
    const int top = m.rows.start(o.row), left = m.columns.start(o.column), k = m.columns.k;
    const Range rows = m.rows.of(o.row), columns = m.columns.of(o.column);
    cuda::Values<Wide<T>, N> most = -std::numeric_limits<Wide<T>>::infinity();
    cuda::Values<Wide<T>, N> tap = Wide<T>((rows.begin - top) * k + columns.begin - left);
    for (int i = rows.begin; i < rows.end; ++i)
      for (int j = columns.begin; j < columns.end; ++j) {
        const auto x_ij = cuda::load<N>(x + m.x_at(o.image, i, j) * m.C + c.first);
        const Wide<T> tap_ij((i - top) * k + j - left);
#pragma unroll
        for (int n = 0; n < N; ++n) {
          const bool wins = x_ij.at[n] > most.at[n] || x_ij.at[n] != x_ij.at[n];
          most.at[n] = wins ? x_ij.at[n] : most.at[n];
          tap.at[n] = wins ? tap_ij : tap.at[n];
        }
      }
    if (winner) cuda::store<N>(winner + m.y_at(o.image, o.row, o.column) * m.C + c.first, tap);
    return most;
  }
};

template <class T>
struct Backward : OnMap {
  const T* dy;
  const Wide<T>* winner;
  Maps<SlidingAxis> m;
  template <int N>
  __device__ cuda::Values<Wide<T>, N> operator()(Channels<N> c, const Pixel& p) const {
    const Range rows = m.rows.readers(p.row), columns = m.columns.readers(p.column);
    cuda::Values<Wide<T>, N> sum = 0;
    for (int i = rows.begin; i < rows.end; ++i)
      for (int j = columns.begin; j < columns.end; ++j) {
        const int64_t at = m.y_at(p.image, i, j) * m.C + c.first;
        const auto dy_o = cuda::load<N>(dy + at), tap = cuda::load<N>(winner + at);
        const Wide<T> own((p.row - m.rows.start(i)) * m.columns.k + p.column - m.columns.start(j));
#pragma unroll
        for (int n = 0; n < N; ++n) sum.at[n] += tap.at[n] == own ? dy_o.at[n] : 0;
      }
    return sum;
  }
};

}  // namespace

template <class T>
void max_pool2d_forward(const T* x, T* y, Wide<T>* winner, const Maps<SlidingAxis>& m) {
  const Forward<T> f{{unsigned(m.rows.count), unsigned(m.columns.count)}, x, winner, m};
  cuda::map_columns("max_pool2d_forward", f, cuda::aligned(x, winner), y, m.y_pixels(), m.C);
}

template <class T>
void max_pool2d_backward(const T* dy, const Wide<T>* winner, T* dx, const Maps<SlidingAxis>& m) {
  const Backward<T> f{{unsigned(m.rows.size), unsigned(m.columns.size)}, dy, winner, m};
  cuda::map_columns("max_pool2d_backward", f, cuda::aligned(dy, winner), dx, m.x_pixels(), m.C);
}

INSTANTIATE(max_pool2d_forward)
INSTANTIATE(max_pool2d_backward)

}  // namespace rmt::gpu
