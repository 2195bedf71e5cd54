// y_bhwo = bias_o + sum_ijc x_b,(h stride + i - pad),(w stride + j - pad),c w_ocij
// As a matrix product: y = col w'^T with col (pixels, k k I) the patches of x laid out in rows and
// w' (O, k k I) the weights in the same order.
//   dw' = dy^T col,   dcol = dy w', and dx sums dcol back over the patches,   dbias = sum of dy.
// col is made a band of output rows at a time, in the cache, and never in full.
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "ops/conv2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"
#include "ops/kernels/gemm.h"

namespace rmt {
namespace gpu {  // conv2d.cu
template <class T>
void conv2d_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Conv c);
template <class T>
void conv2d_backward_x(const T* dy, const Wide<T>* w, T* dx, Conv c);
template <class T>
void conv2d_backward_w(const T* dy, const T* x, Wide<T>* dw, Wide<T>* dbias, Conv c);
}  // namespace gpu

namespace cpu {
namespace {

// A piece of work is a band of output rows, about 192 pixels.
int64_t band(const Conv& c) { return std::max<int64_t>(1, 192 / std::max<int64_t>(c.OW, 1)); }
int64_t bands(const Conv& c) { return (c.OH + band(c) - 1) / band(c); }  // of one image

// w (O, I, k, k) -> (O, k, k, I), or back.
template <class T>
void reorder_weights(const Conv& c, const T* w, T* packed) {
  for (int64_t o = 0; o < c.O; ++o)
    for (int64_t i = 0; i < c.I; ++i)
      for (int64_t t = 0; t < c.k * c.k; ++t)
        packed[o * c.patch() + t * c.I + i] = w[(o * c.I + i) * c.k * c.k + t];
}
template <class T>
void restore_weights(const Conv& c, const T* packed, T* w) {
  for (int64_t o = 0; o < c.O; ++o)
    for (int64_t i = 0; i < c.I; ++i)
      for (int64_t t = 0; t < c.k * c.k; ++t)
        w[(o * c.I + i) * c.k * c.k + t] = packed[o * c.patch() + t * c.I + i];
}

// For output row oy, column ox, row i of the filter: calls inside(offset of x, offset in the patch,
// channels) for the taps j that fall on the image and outside(offset in the patch, channels) for
// those that do not; taps side by side come as one run.
template <class Inside, class Outside>
void for_taps(const Conv& c, int64_t oy, int64_t ox, int64_t i, Inside inside, Outside outside) {
  int64_t y = oy * c.stride + i - c.pad, x = ox * c.stride - c.pad, at = i * c.k * c.I;
  int64_t j0 = std::clamp<int64_t>(-x, 0, c.k), j1 = std::clamp<int64_t>(c.W - x, j0, c.k);
  if (y < 0 || y >= c.H) j0 = j1 = c.k;
  if (j0 > 0) outside(at, j0 * c.I);
  if (j1 > j0) inside((y * c.W + x + j0) * c.I, at + j0 * c.I, (j1 - j0) * c.I);
  if (j1 < c.k) outside(at + j1 * c.I, (c.k - j1) * c.I);
}

// Patches of output rows [y0, y1) of one image x (H, W, I) -> col ((y1 - y0) OW, k k I)
template <class T>
void gather_patches(const Conv& c, const T* x, int64_t y0, int64_t y1, T* col) {
  for (int64_t oy = y0; oy < y1; ++oy)
    for (int64_t ox = 0; ox < c.OW; ++ox, col += c.patch())
      for (int64_t i = 0; i < c.k; ++i)
        for_taps(
            c, oy, ox, i,
            [&](int64_t from, int64_t at, int64_t n) { std::copy_n(x + from, n, col + at); },
            [&](int64_t at, int64_t n) { std::fill_n(col + at, n, T(0)); });
}

// The adjoint: adds col back into dx (H, W, I).
template <class T>
void scatter_patches(const Conv& c, const T* col, int64_t y0, int64_t y1, T* dx) {
  for (int64_t oy = y0; oy < y1; ++oy)
    for (int64_t ox = 0; ox < c.OW; ++ox, col += c.patch())
      for (int64_t i = 0; i < c.k; ++i)
        for_taps(
            c, oy, ox, i,
            [&](int64_t to, int64_t at, int64_t n) {
              for (int64_t e = 0; e < n; ++e) dx[to + e] += col[at + e];
            },
            [](int64_t, int64_t) {});
}

template <class T>
T* scratch(int64_t n) {
  thread_local std::vector<T> buffer;
  if (int64_t(buffer.size()) < n) buffer.resize(size_t(n));
  return buffer.data();
}

template <class T>
void conv2d_forward(const T* x, const T* w, const T* bias, T* y, Conv c) {
  std::vector<T> packed(size_t(c.O * c.patch()));
  reorder_weights(c, w, packed.data());
  PackedB<T> b(packed.data(), 1, c.patch(), c.patch(), c.O);
  parallel_for(c.B * bands(c), 1, [&](int64_t begin, int64_t end) {
    T* col = scratch<T>(band(c) * c.OW * c.patch());
    for (int64_t p = begin; p < end; ++p) {
      int64_t image = p / bands(c), y0 = p % bands(c) * band(c), y1 = std::min(c.OH, y0 + band(c));
      gather_patches(c, x + image * c.H * c.W * c.I, y0, y1, col);
      multiply_rows_serial<T>((y1 - y0) * c.OW, col, c.patch(), b,
                              {y + (image * c.OH + y0) * c.OW * c.O, c.O, bias});
    }
  });
}

template <class T>
void conv2d_backward_x(const T* dy, const T* w, T* dx, Conv c) {
  std::vector<T> packed(size_t(c.O * c.patch()));
  reorder_weights(c, w, packed.data());
  PackedB<T> b(packed.data(), c.patch(), 1, c.O, c.patch());
  parallel_for(
      c.B, 1, [&](int64_t begin, int64_t end) {  // bands overlap in dx: one image is one piece
        T* col = scratch<T>(band(c) * c.OW * c.patch());
        for (int64_t image = begin; image < end; ++image) {
          T* to = dx + image * c.H * c.W * c.I;
          std::fill_n(to, c.H * c.W * c.I, T(0));
          for (int64_t y0 = 0; y0 < c.OH; y0 += band(c)) {
            int64_t y1 = std::min(c.OH, y0 + band(c));
            multiply_rows_serial<T>((y1 - y0) * c.OW, dy + (image * c.OH + y0) * c.OW * c.O, c.O, b,
                                    {col, c.patch()});
            scatter_patches(c, col, y0, y1, to);
          }
        }
      });
}

// Pieces: parts of the list of all bands, each with its own sum, times blocks of output channels.
template <class T>
void conv2d_backward_w(const T* dy, const T* x, T* dw, T* dbias, Conv c) {
  constexpr int64_t kBlock = 8 * kRows;
  int64_t total = c.B * bands(c), blocks = (c.O + kBlock - 1) / kBlock,
          parts = part_count(total, 8, 16), size = c.O * (c.patch() + 1);
  std::vector<T> partial(size_t(parts * size), T(0));
  parallel_for(parts * blocks, 1, [&](int64_t begin, int64_t end) {
    T* col = scratch<T>(band(c) * c.OW * c.patch());
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t part = piece / blocks, o = piece % blocks * kBlock,
              o_count = std::min(kBlock, c.O - o);
      T *sum = partial.data() + part * size, *column_sum = sum + c.O * c.patch();
      for (int64_t p = part_begin(total, parts, part); p < part_begin(total, parts, part + 1);
           ++p) {
        int64_t image = p / bands(c), y0 = p % bands(c) * band(c),
                y1 = std::min(c.OH, y0 + band(c));
        gather_patches(c, x + image * c.H * c.W * c.I, y0, y1, col);
        add_transposed_serial(o_count, c.patch(), (y1 - y0) * c.OW,
                              dy + (image * c.OH + y0) * c.OW * c.O + o, c.O, col, c.patch(),
                              sum + o * c.patch(), c.patch(), column_sum + o);
      }
    }
  });
  parallel_for(size, 1 << 12, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = begin; i < end; ++i) partial[size_t(i)] += partial[size_t(part * size + i)];
  });
  restore_weights(c, partial.data(), dw);
  if (dbias) std::copy_n(partial.data() + c.O * c.patch(), c.O, dbias);
}

}  // namespace
}  // namespace cpu

Tensor ops::conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride,
                   int64_t pad) {
  CHECK(x.rank() == 4 && w.rank() == 4 && w.dim(2) == w.dim(3),
        "conv2d: needs x (B, H, W, I) and w (O, I, k, k), got ", x.shape(), " and ", w.shape());
  CHECK(x.dim(3) == w.dim(1), "conv2d: x ", x.shape(), " has ", x.dim(3), " channels, w ",
        w.shape(), " takes ", w.dim(1));
  CHECK(w.dtype() == wide(x.dtype()), "conv2d: w is ", w.dtype(), ", expected ", wide(x.dtype()),
        " for an x of ", x.dtype());
  if (bias.defined()) expect("conv2d", "bias", bias, {w.dim(0)}, w.dtype());
  CHECK(stride >= 1 && pad >= 0, "conv2d: stride ", stride, " and pad ", pad,
        " must be at least 1 and 0");
  Conv c{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(2), stride, pad, 0, 0};
  CHECK(c.k >= 1 && c.H + 2 * pad >= c.k && c.W + 2 * pad >= c.k, "conv2d: x ", x.shape(),
        " padded by ", pad, " is smaller than the filter ", w.shape());
  c.OH = (c.H + 2 * pad - c.k) / stride + 1;
  c.OW = (c.W + 2 * pad - c.k) / stride + 1;
  Tensor y = Tensor::empty({c.B, c.OH, c.OW, c.O}, x.dtype(), x.device());
  DISPATCH(x, conv2d_forward, x, w, bias, y, c);
  return record("conv2d", y, {x, w, bias},
                [x = x.detach(), w = w.detach(), c, need_x = needs_grad(x),
                 need_w = needs_grad(w) || needs_grad(bias),
                 has_bias = bias.defined()](const Tensor& dy) -> Grads {
                  Tensor dx, dw, dbias;
                  if (need_x) {
                    dx = Tensor::empty_like(x);
                    DISPATCH(x, conv2d_backward_x, dy, w, dx, c);
                  }
                  if (need_w) {
                    dw = Tensor::empty_like(w);
                    if (has_bias) dbias = Tensor::empty({c.O}, w.dtype(), w.device());
                    DISPATCH(x, conv2d_backward_w, dy, x, dw, dbias, c);
                  }
                  return {dx, dw, dbias};
                });
}

}  // namespace rmt
