// conv2d.cpp's formulas as matrix products, some images at a time:
//
//   y = col w'^T + bias,   dcol = dy w',   dw' = dy^T col
//
// Groups of channels are one product, too: w' is 0 where a filter of one group would meet a channel
// of another. It makes `groups` times the multiply-adds that are needed, in no more kernels;
// and since 0 times infinity is NaN, what is not finite in one group shows in all.
//
// In bf16, without groups and with filters of 2 x 2 or 3 x 3 on whole packs of channels, no col is
// made: there the products gather their factors themselves (kernels/convolution.cuh).
//
// A row of col (pixels, E) is the patch of x under an output pixel: k k I numbers, and behind them
// zeros up to whole packs of 16 bytes; w' (O, E) is in the same order. A thread makes 16 bytes of
// col, or of dx: there it gathers what its pixel gave to at most k k patches.
#include <algorithm>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"
#include "core/cuda/limits.h"
#include "core/storage.h"
#include "ops/kernels/conv2d.h"
#include "ops/kernels/convolution_gradient.cuh"
#include "ops/kernels/extents.h"
#include "ops/kernels/gemm.cuh"

namespace rmt::gpu {
namespace {

template <class T>
constexpr int kPack = 16 / int(sizeof(T));

// E
template <class T>
int64_t padded_patch(const Conv& c) {
  return (c.k * c.k * c.I + kPack<T> - 1) / kPack<T> * kPack<T>;
}

// The extents as the kernels use them, in 32 bits, for the patches of one row of output pixels.
struct PatchLayout {
  int H, W, I, k, stride, pad, OH, OW;
  int E;
};

// x (images, H, W, I) -> col (images, OH, OW, E). A block to each row of output pixels and kThreads
// packs of it. The k taps of a row of the filter are a run: k I numbers side by side, in x as in
// col. whole: I is a multiple of a pack, and the addresses of x are aligned.
template <class T, bool whole>
__global__ void __launch_bounds__(cuda::kThreads)
    gather_patches_kernel(const T* x, T* col, PatchLayout p) {
  constexpr int N = kPack<T>;
  using P = cuda::Pack<T, N>;
  const int packs = p.E / N, t = int(blockIdx.y * blockDim.x + threadIdx.x);
  if (t >= p.OW * packs) return;
  const int ox = t / packs, e = t % packs * N, run = p.k * p.I;
  const int64_t image = blockIdx.x / p.OH;
  const int oy = int(blockIdx.x) % p.OH;
  const int from = (ox * p.stride - p.pad) * p.I;  // where a run begins in its row of x
  int i = e / run, at = e % run;                   // row of the filter, place in its run
  const auto row = [&](int y) { return x + (image * p.H + y) * p.W * p.I; };
  P out{};
  if constexpr (whole) {
    const int y = oy * p.stride + i - p.pad;
    if (unsigned(y) < unsigned(p.H) && unsigned(from + at) < unsigned(p.W * p.I))
      out = *reinterpret_cast<const P*>(row(y) + from + at);
  } else {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int y = oy * p.stride + i - p.pad;
      if (i < p.k && unsigned(y) < unsigned(p.H) && unsigned(from + at) < unsigned(p.W * p.I))
        out.at[n] = row(y)[from + at];
      if (++at == run) {
        at = 0;
        ++i;
      }
    }
  }
  reinterpret_cast<P*>(col)[int64_t(blockIdx.x) * p.OW * packs + t] = out;
}

// The way back, dcol (images, OH, OW, E) -> dx (images, H, W, I). Output pixel (oy, ox) has pixel
// (y, x) under its tap (i, j) when
//     oy stride + i - pad = y   and   ox stride + j - pad = x.
// So each tap has at most one such output pixel, and there is none where the division by stride
// leaves a rest. A block to each row of dx and kThreads groups of N channels of it.
template <class T, int N>
__global__ void __launch_bounds__(cuda::kThreads)
    gather_gradient_kernel(const T* dcol, T* dx, PatchLayout p) {
  const int groups = p.I / N, t = int(blockIdx.y * blockDim.x + threadIdx.x);
  if (t >= p.W * groups) return;
  const int x = t / groups, c = t % groups * N, y = int(blockIdx.x) % p.H;
  const int64_t image = blockIdx.x / p.H;
  cuda::Values<Wide<T>, N> sum{};
  for (int i = 0; i < p.k; ++i) {
    const int from_y = y + p.pad - i, oy = from_y / p.stride;
    if (from_y < 0 || from_y % p.stride || oy >= p.OH) continue;
    const T* patches = dcol + (image * p.OH + oy) * p.OW * p.E + i * p.k * p.I + c;
    for (int j = 0; j < p.k; ++j) {
      const int from_x = x + p.pad - j, ox = from_x / p.stride;
      if (from_x < 0 || from_x % p.stride || ox >= p.OW) continue;
      const auto d = cuda::load<N>(patches + int64_t(ox) * p.E + j * p.I);
#pragma unroll
      for (int n = 0; n < N; ++n) sum.at[n] += d.at[n];
    }
  }
  cuda::store<N>(dx + (int64_t(blockIdx.x) * p.W + x) * p.I + c, sum);
}

// How a number of w (O, in, taps), in = I / groups, is found in packed (O, E), and back.
struct FilterLayout {
  int I, in, out, taps, E;
};

// w (O, in, k k) -> packed (O, E): in (k k, I) order, in the type of x, 0 for channels of other
// groups, and zeros behind. A thread to each number of packed.
template <class T>
__global__ void pack_weights_kernel(const Wide<T>* w, T* packed, FilterLayout f, int64_t n) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= n) return;
  const int64_t o = at / f.E;
  const int e = int(at % f.E), i = e % f.I - int(o / f.out) * f.in;  // channel of the group
  const bool is_there = e < f.taps * f.I && i >= 0 && i < f.in;
  packed[at] = is_there ? T(w[(o * f.in + i) * f.taps + e / f.I]) : T(Wide<T>(0));
}

// The way back, for dw. A thread to each number of w.
template <class W>
__global__ void unpack_weights_kernel(const W* packed, W* w, FilterLayout f, int64_t n) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= n) return;
  const int64_t o = at / (f.in * f.taps);
  const int i = int(at / f.taps % f.in) + int(o / f.out) * f.in, tap = int(at % f.taps);
  w[at] = packed[o * f.E + tap * f.I + i];
}

// Device memory for n numbers. Work that was launched while it lived may still use it afterwards:
// all work runs in one order, and whoever gets the memory next writes after it.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n) : storage_(n * sizeof(T), Device::cuda) {}
  T* get() const { return static_cast<T*>(storage_.data()); }

 private:
  Storage storage_;
};

template <class T>
PatchLayout patches_of(const Conv& c) {
  const int64_t E = padded_patch<T>(c), largest = int64_t(1) << 30;
  CHECK(c.W * c.I <= largest && c.OW * E <= largest && c.H <= largest, "conv2d: rows of ", c.W,
        " x ", c.I, " numbers, patches of ", E, " are too large");
  return {int(c.H),   int(c.W),  int(c.I),  int(c.k), int(c.stride),
          int(c.pad), int(c.OH), int(c.OW), int(E)};
}

template <class T>
int64_t images_at_once(const Conv& c) {
  const int64_t bytes = c.OH * c.OW * padded_patch<T>(c) * int64_t(sizeof(T));  // of one image
  return std::clamp<int64_t>(cuda::limits().patch_bytes / std::max<int64_t>(1, bytes), 1,
                             std::max<int64_t>(1, c.B));
}

template <class T>
void gather_patches(const T* x, T* col, int64_t images, const Conv& c) {
  const PatchLayout p = patches_of<T>(c);
  const bool whole = c.I % kPack<T> == 0 && cuda::aligned(x);
  cuda::launch("gather_patches",
               whole ? gather_patches_kernel<T, true> : gather_patches_kernel<T, false>,
               dim3(unsigned(images * c.OH), unsigned(cuda::blocks_for(c.OW * p.E / kPack<T>))),
               dim3(cuda::kThreads), 0, x, col, p);
}

template <class T>
void gather_gradient(const T* dcol, T* dx, int64_t images, const Conv& c) {
  constexpr int N = kPack<T>;
  const bool whole = c.I % N == 0 && cuda::aligned(dx);
  cuda::launch(
      "gather_gradient", whole ? gather_gradient_kernel<T, N> : gather_gradient_kernel<T, 1>,
      dim3(unsigned(images * c.H), unsigned(cuda::blocks_for(c.W * c.I / (whole ? N : 1)))),
      dim3(cuda::kThreads), 0, dcol, dx, patches_of<T>(c));
}

template <class T>
FilterLayout filters_of(const Conv& c) {
  return {int(c.I), int(c.in), int(c.out), int(c.k * c.k), int(padded_patch<T>(c))};
}

template <class T>
void pack_weights(const Wide<T>* w, T* packed, const Conv& c) {
  const int64_t n = c.O * padded_patch<T>(c);
  cuda::launch("pack_weights", pack_weights_kernel<T>, dim3(unsigned(cuda::blocks_for(n))),
               dim3(cuda::kThreads), 0, w, packed, filters_of<T>(c), n);
}

// f(first image, images) for all of them in order.
template <class T, class F>
void for_images(const Conv& c, F f) {
  const int64_t step = images_at_once<T>(c);
  for (int64_t b = 0; b < c.B; b += step) f(b, std::min(step, c.B - b));
}

template <class Epilogue>
void on_tensor_cores(const bf16* x, const Epilogue& epilogue, const float* w, const float* bias,
                     bf16* y, const Conv& c) {
  auto from = [&](const auto& source) {
    convolution::forward("conv2d_forward", source, epilogue, w, bias, y, c);
  };
  convolution::is_image(c) ? from(convolution::patches(x, c)) : from(convolution::stored(x, c));
}

}  // namespace

bool convolves_on_tensor_cores(const bf16* x, const Conv& c) { return convolution::serves(c, x); }

void conv2d_forward_with_moments(const bf16* x, const float* w, const float* bias, bf16* y,
                                 double* moments, Conv c) {
  const convolution::Cut cut = convolution::forward_cut(c);
  const Scratch<float> sums(convolution::tile_sums({cut}));
  on_tensor_cores(x, convolution::WriteMoments{sums.get()}, w, bias, y, c);
  convolution::join_moments(sums.get(), cut.tiles.count, cut.w, moments);
}

template <class T>
void conv2d_forward(const T* x, const Wide<T>* w, const Wide<T>* bias, T* y, Conv c) {
  if (c.B * c.OH * c.OW * c.O == 0) return;
  if constexpr (std::is_same_v<T, bf16>)
    if (convolution::serves(c, x, y))
      return on_tensor_cores(x, convolution::Write(), w, bias, y, c);
  const int64_t E = padded_patch<T>(c), pixels = c.OH * c.OW;  // of one image
  const Scratch<T> packed(c.O * E), col(images_at_once<T>(c) * pixels * E), bias_x(c.O);
  pack_weights(w, packed.get(), c);
  if (bias) cuda::convert(bias, dtype_of<Wide<T>>, bias_x.get(), dtype_of<T>, c.O);
  for_images<T>(c, [&](int64_t b, int64_t images) {
    gather_patches(x + b * c.H * c.W * c.I, col.get(), images, c);
    multiply<T>(images * pixels, c.O, E, {col.get()}, {packed.get(), kTransposed},
                y + b * pixels * c.O, bias ? bias_x.get() : nullptr);
  });
}

template <class T>
void conv2d_backward_x(const T* dy, const Wide<T>* w, T* dx, Conv c) {
  if (c.B * c.H * c.W * c.I == 0) return;
  if constexpr (std::is_same_v<T, bf16>)
    if (convolution::serves(c, dy, dx) && c.O > 0 && !convolution::is_image(c))
      return convolution::backward_x("conv2d_backward_x", dy, convolution::Write(), w, dx, c);
  const int64_t E = padded_patch<T>(c), pixels = c.OH * c.OW;
  const Scratch<T> packed(c.O * E), dcol(images_at_once<T>(c) * pixels * E);
  if (c.O) pack_weights(w, packed.get(), c);
  for_images<T>(c, [&](int64_t b, int64_t images) {
    multiply<T>(images * pixels, E, c.O, {dy + b * pixels * c.O}, {packed.get()}, dcol.get());
    gather_gradient(dcol.get(), dx + b * c.H * c.W * c.I, images, c);
  });
}

template <class T>
void conv2d_backward_w(const T* dy, const T* x, Wide<T>* dw, Wide<T>* dbias, Conv c) {
  if constexpr (std::is_same_v<T, bf16>)
    if (convolution::serves(c, dy, x) && c.B * c.O > 0)
      return convolution::backward_w(dy, x, dw, dbias, c);
  const int64_t E = padded_patch<T>(c), pixels = c.OH * c.OW, n = c.O * c.patch();
  if (dbias) sum_rows(dy, dbias, c.B * pixels, c.O);
  if (n == 0) return;
  const Scratch<T> col(images_at_once<T>(c) * pixels * E);
  const Scratch<Wide<T>> packed(c.O * E);
  if (c.B == 0) cuda::zero(packed.get(), c.O * E * sizeof(Wide<T>));
  for_images<T>(c, [&](int64_t b, int64_t images) {
    gather_patches(x + b * c.H * c.W * c.I, col.get(), images, c);
    multiply<T>(c.O, E, images * pixels, {dy + b * pixels * c.O, kTransposed}, {col.get()},
                packed.get(), nullptr, b > 0);
  });
  cuda::launch("unpack_weights", unpack_weights_kernel<Wide<T>>,
               dim3(unsigned(cuda::blocks_for(n))), dim3(cuda::kThreads), 0,
               static_cast<const Wide<T>*>(packed.get()), dw, filters_of<T>(c), n);
}

INSTANTIATE(conv2d_forward)
INSTANTIATE(conv2d_backward_x)
INSTANTIATE(conv2d_backward_w)

}  // namespace rmt::gpu
