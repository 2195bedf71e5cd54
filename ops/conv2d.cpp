// y_b,h,w,o = bias_o + sum_ijc x_b,(h stride + i - pad),(w stride + j - pad),c  w_ocij
//
// As a matrix product ("im2col"): the patch of x under an output pixel becomes a row of a matrix
// col (pixels, k k I), 0 where it hangs over the edge; the weights in the same order are w' (O, k k
// I).
//
//      x (H, W, I)                    col                                   w'^T (k k I, O)
//      +---+---+---+---+              tap: 00    01    10    11
//      | a | b | c | d |   k = 2    +-----+-----+-----+-----+
//      +---+---+---+---+  stride 1  | a   | b   | e   | f   |   pixel 0        +------+
//      | e | f | g | h |    ->      | b   | c   | f   | g   |   pixel 1    *   |      |   =   y
//      +---+---+---+---+            | c   | d   | g   | h   |   pixel 2        +------+
//        each I numbers             +-----+-----+-----+-----+
//
//   y = col w'^T + bias,   dw' = dy^T col,   dcol = dy w',   dbias = sum of dy over the pixels,
//   and dx sums dcol back: each number of dcol is added where the number of x was copied from.
//
// col is made a band of output rows at a time, in the cache, and never in full. Each group of
// channels has a col and a product of its own; then I and O above are those of a group.
#include "ops/conv2d.h"

#include <algorithm>
#include <deque>
#include <vector>

#include "core/parallel.h"
#include "ops/kernels/conv2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt {
namespace gpu {  // conv2d.cu
template <class T>
void conv2d_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Conv c);
// moments (2 O + 1) of y.
void conv2d_forward_with_moments(const bf16* x, const float* w, const float* bias, bf16* y,
                                 double* moments, Conv c);
template <class T>
void conv2d_backward_x(const T* dy, const Wide<T>* w, T* dx, Conv c);
}  // namespace gpu

namespace cpu {
namespace {

// A piece of work is a band: some output rows of an image, about 192 pixels.
int64_t rows_of_band(const Conv& c) {
  return std::max<int64_t>(1, 192 / std::max<int64_t>(c.OW, 1));
}
int64_t bands_of_image(const Conv& c) { return (c.OH + rows_of_band(c) - 1) / rows_of_band(c); }

struct Band {
  int64_t image, begin, end;  // output rows [begin, end) of the image
  // Number `number` of all bands of the batch.
  Band(const Conv& c, int64_t number)
      : image(number / bands_of_image(c)),
        begin(number % bands_of_image(c) * rows_of_band(c)),
        end(std::min(c.OH, begin + rows_of_band(c))) {}
  int64_t pixels(const Conv& c) const { return (end - begin) * c.OW; }
  // Its part of y or dy (B, OH, OW, O).
  template <class T>
  T* of(const Conv& c, T* y) const {
    return y + (image * c.OH + begin) * c.OW * c.O;
  }
};

// w (O, in, k, k) -> w' (O, k, k, in), in = I / groups.
template <class T>
void reorder_weights(const Conv& c, const T* w, T* packed) {
  for (int64_t o = 0; o < c.O; ++o)
    for (int64_t i = 0; i < c.in; ++i)
      for (int64_t t = 0; t < c.k * c.k; ++t)
        packed[o * c.patch() + t * c.in + i] = w[(o * c.in + i) * c.k * c.k + t];
}
// And back, for dw.
template <class T>
void restore_weights(const Conv& c, const T* packed, T* w) {
  for (int64_t o = 0; o < c.O; ++o)
    for (int64_t i = 0; i < c.in; ++i)
      for (int64_t t = 0; t < c.k * c.k; ++t)
        w[(o * c.in + i) * c.k * c.k + t] = packed[o * c.patch() + t * c.in + i];
}

// Row i of the patch of the output pixel (oy, ox): k taps side by side, in x as in col. Those that
// fall on the image come as one run, inside(place in x, place in the patch, numbers), or tap by tap
// where between them in x lie the channels of other groups; those that hang over its left or right
// edge, or all of them above and below it, as outside(place in the patch, numbers). Places in x are
// those of the first group.
template <class Inside, class Outside>
void for_runs(const Conv& c, int64_t oy, int64_t ox, int64_t i, Inside inside, Outside outside) {
  const int64_t y = oy * c.stride + i - c.pad, x = ox * c.stride - c.pad;
  const int64_t place = i * c.k * c.in;
  int64_t begin = std::clamp<int64_t>(-x, 0, c.k);  // taps on the image: [begin, end)
  int64_t end = std::clamp<int64_t>(c.W - x, begin, c.k);
  if (y < 0 || y >= c.H) begin = end = c.k;
  if (begin > 0) outside(place, begin * c.in);
  const int64_t taps = c.groups == 1 ? end - begin : 1;  // of a run
  for (int64_t t = begin; t < end; t += taps)
    inside((y * c.W + x + t) * c.I, place + t * c.in, taps * c.in);
  if (end < c.k) outside(place + end * c.in, (c.k - end) * c.in);
}

// The patches of a group in a band of the batch x (B, H, W, I) -> col (pixels, k k in).
template <class T>
void gather_patches(const Conv& c, const Band& band, int64_t group, const T* x, T* col) {
  x += band.image * c.H * c.W * c.I + group * c.in;
  for (int64_t oy = band.begin; oy < band.end; ++oy)
    for (int64_t ox = 0; ox < c.OW; ++ox, col += c.patch())
      for (int64_t i = 0; i < c.k; ++i)
        for_runs(
            c, oy, ox, i,
            [&](int64_t from, int64_t at, int64_t n) { std::copy_n(x + from, n, col + at); },
            [&](int64_t at, int64_t n) { std::fill_n(col + at, n, T(0)); });
}

// The way back: adds dcol (pixels, k k in) to the numbers of dx (B, H, W, I) that it came from.
template <class T>
void scatter_patches(const Conv& c, const Band& band, int64_t group, const T* dcol, T* dx) {
  dx += band.image * c.H * c.W * c.I + group * c.in;
  for (int64_t oy = band.begin; oy < band.end; ++oy)
    for (int64_t ox = 0; ox < c.OW; ++ox, dcol += c.patch())
      for (int64_t i = 0; i < c.k; ++i)
        for_runs(
            c, oy, ox, i,
            [&](int64_t to, int64_t at, int64_t n) {
              for (int64_t e = 0; e < n; ++e) dx[to + e] += dcol[at + e];
            },
            [](int64_t, int64_t) {});
}

// Room for the col of one band; each thread has its own.
template <class T>
T* room_for_patches(const Conv& c) {
  thread_local std::vector<T> room;
  const size_t n = rows_of_band(c) * c.OW * c.patch();
  if (room.size() < n) room.resize(n);
  return room.data();
}

// w' of each group as a factor of products, with element (k, n) at k row + n col.
template <class T>
std::deque<PackedB<T>> pack_weights(const Conv& c, const T* w, int64_t row, int64_t col, int64_t K,
                                    int64_t N) {
  std::vector<T> packed(c.O * c.patch());
  reorder_weights(c, w, packed.data());
  std::deque<PackedB<T>> groups;
  for (int64_t g = 0; g < c.groups; ++g)
    groups.emplace_back(packed.data() + g * c.out * c.patch(), row, col, K, N);
  return groups;
}

// y = col w'^T + bias
template <class T>
void conv2d_forward(const T* x, const T* w, const T* bias, T* y, Conv c) {
  const std::deque<PackedB<T>> w_t = pack_weights(c, w, 1, c.patch(), c.patch(), c.out);
  parallel_for(c.B * bands_of_image(c), 1, [&](int64_t begin, int64_t end) {
    T* col = room_for_patches<T>(c);
    for (int64_t number = begin; number < end; ++number) {
      const Band band(c, number);
      for (int64_t g = 0, o = 0; g < c.groups; ++g, o += c.out) {
        gather_patches(c, band, g, x, col);
        multiply_rows_serial<T>(band.pixels(c), col, c.patch(), w_t[g],
                                {band.of(c, y) + o, c.O, bias ? bias + o : nullptr});
      }
    }
  });
}

// dcol = dy w', scattered into dx. Bands of one image overlap in dx, so an image is one piece.
template <class T>
void conv2d_backward_x(const T* dy, const T* w, T* dx, Conv c) {
  const std::deque<PackedB<T>> w_rows = pack_weights(c, w, c.patch(), 1, c.out, c.patch());
  parallel_for(c.B, 1, [&](int64_t begin, int64_t end) {
    T* dcol = room_for_patches<T>(c);
    for (int64_t image = begin; image < end; ++image) {
      const int64_t n = c.H * c.W * c.I, bands = bands_of_image(c);
      std::fill_n(dx + image * n, n, T(0));
      for (int64_t number = image * bands; number < (image + 1) * bands; ++number) {
        const Band band(c, number);
        for (int64_t g = 0; g < c.groups; ++g) {
          multiply_rows_serial<T>(band.pixels(c), band.of(c, dy) + g * c.out, c.O, w_rows[g],
                                  {dcol, c.patch()});
          scatter_patches(c, band, g, dcol, dx);
        }
      }
    }
  });
}

// dw' = dy^T col, dbias = sum of dy. Pieces: parts of the list of all bands, each with sums of its
// own, dw' (O, k k in) and behind it dbias (O), times blocks of output channels of a group.
template <class T>
void conv2d_backward_w(const T* dy, const T* x, T* dw, T* dbias, Conv c) {
  constexpr int64_t kBlock = 8 * kRows;
  const int64_t total = c.B * bands_of_image(c), of_group = (c.out + kBlock - 1) / kBlock;
  const int64_t blocks = c.groups * of_group;
  const int64_t parts = part_count(total, 8, 16), size = c.O * (c.patch() + 1);
  std::vector<T> sums(parts * size, T(0));
  parallel_for(parts * blocks, 1, [&](int64_t begin, int64_t end) {
    T* col = room_for_patches<T>(c);
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t part = piece / blocks, block = piece % blocks, group = block / of_group;
      const int64_t done = block % of_group * kBlock, o = group * c.out + done;
      T* sum_w = sums.data() + part * size + o * c.patch();
      T* sum_bias = sums.data() + part * size + c.O * c.patch() + o;
      for (int64_t number = part_begin(total, parts, part);
           number < part_begin(total, parts, part + 1); ++number) {
        const Band band(c, number);
        gather_patches(c, band, group, x, col);
        add_transposed_serial(std::min(kBlock, c.out - done), c.patch(), band.pixels(c),
                              band.of(c, dy) + o, c.O, col, c.patch(), sum_w, c.patch(), sum_bias);
      }
    }
  });
  parallel_for(size, 1 << 12, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = begin; i < end; ++i) sums[i] += sums[part * size + i];
  });
  restore_weights(c, sums.data(), dw);
  if (dbias) std::copy_n(sums.data() + c.O * c.patch(), c.O, dbias);
}

}  // namespace
}  // namespace cpu

Conv expect_conv(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias,
                 int64_t stride, int64_t pad, int64_t groups) {
  CHECK(x.rank() == 4 && w.rank() == 4 && w.dim(2) == w.dim(3), op,
        ": needs x (B, H, W, I) and w (O, I, k, k), got ", x.shape(), " and ", w.shape());
  CHECK(groups >= 1 && x.dim(3) % groups == 0 && w.dim(0) % groups == 0, op, ": ", groups,
        " groups must divide the channels of x ", x.shape(), " and the filters of w ", w.shape());
  CHECK(x.dim(3) / groups == w.dim(1), op, ": x ", x.shape(), " has ", x.dim(3) / groups,
        " channels in each of ", groups, " groups, w ", w.shape(), " takes ", w.dim(1));
  CHECK(w.dtype() == wide(x.dtype()), op, ": w is ", w.dtype(), ", expected ", wide(x.dtype()),
        " for an x of ", x.dtype());
  if (bias.defined()) expect(op, "bias", bias, {w.dim(0)}, w.dtype());
  CHECK(stride >= 1 && pad >= 0, op, ": stride ", stride, " and pad ", pad,
        " must be at least 1 and 0");
  Conv c{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(2), stride, pad, 0, 0};
  c.groups = groups, c.in = c.I / groups, c.out = c.O / groups;
  CHECK(c.k >= 1 && c.H + 2 * pad >= c.k && c.W + 2 * pad >= c.k, op, ": x ", x.shape(),
        " padded by ", pad, " is smaller than the filter ", w.shape());
  c.OH = (c.H + 2 * pad - c.k) / stride + 1;
  c.OW = (c.W + 2 * pad - c.k) / stride + 1;
  return c;
}

bool convolves_on_tensor_cores(const Tensor& x, const Conv& c) {
  return x.device() == Device::cuda && x.dtype() == DType::bf16 &&
         gpu::convolves_on_tensor_cores(static_cast<const bf16*>(x.raw()), c);
}

Tensor ops::conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride,
                   int64_t pad, int64_t groups, Tensor* moments) {
  const Conv c = expect_conv("conv2d", x, w, bias, stride, pad, groups);
  Tensor y = Tensor::empty({c.B, c.OH, c.OW, c.O}, x.dtype(), x.device());
  const bool leaves_moments = moments && y.numel() > 0 && convolves_on_tensor_cores(x, c);
  if (moments)
    *moments = leaves_moments ? Tensor::empty({2 * c.O + 1}, DType::f64, x.device()) : Tensor();
  if (leaves_moments)
    call("conv2d_forward", x, gpu::conv2d_forward_with_moments, x, w, bias, y, *moments, c);
  else
    DISPATCH(x, conv2d_forward, x, w, bias, y, c);
  count_multiply_adds(y.numel() * c.patch());
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
