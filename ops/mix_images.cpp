// Mixup and CutMix: image b and its partner b' = B - 1 - b, mixed.
//
//   y_b = x_b' inside the box,   lambda x_b + (1 - lambda) x_b' elsewhere
//
// For each pixel this is a symmetric matrix over the batch, so that dx is the same function of dy.
// The box is counted in squares of unit x unit pixels. The mixture is computed with two roundings,
// lambda x_b + ((1 - lambda) x_b'), alike on every device; where lambda = 1 it is x_b, whatever
// x_b' is.
#include <cmath>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/mix_images.h"

namespace rmt {
namespace gpu {  // mix_images.cu
template <class T>
void mix_images(const T* x, const double* mix, T* y, int64_t B, int64_t H, int64_t W, int64_t C,
                int64_t unit);
}  // namespace gpu

namespace cpu {
namespace {

// A row of image b and the same row of b': to_a = lambda a + rest b, to_b = lambda b + rest a.
template <class T>
void mix_rows(const T* a, const T* b, T lambda, T rest, T* to_a, T* to_b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to_a[i] = std::fma(lambda, a[i], rest * b[i]);
    to_b[i] = std::fma(lambda, b[i], rest * a[i]);
  }
}

template <class T>
void mix_images(const T* x, const double* mix, T* y, int64_t B, int64_t H, int64_t W, int64_t C,
                int64_t unit) {
  const T lambda = T(mix[0]), rest = T(1 - mix[0]);
  const int64_t n = W * C, left = int64_t(mix[2]) * unit * C, top = int64_t(mix[3]) * unit,
                right = left + int64_t(mix[4]) * unit * C, bottom = top + int64_t(mix[5]) * unit;
  simd::for_each_row(B / 2 * H, 2 * n, [=](int64_t row) {
    const int64_t h = row % H, first = row * n, second = ((B - 1 - row / H) * H + h) * n;
    if (lambda == 1) {
      std::copy_n(x + first, n, y + first);
      std::copy_n(x + second, n, y + second);
    } else {
      mix_rows(x + first, x + second, lambda, rest, y + first, y + second, n);
    }
    if (h < top || h >= bottom) return;
    std::copy(x + second + left, x + second + right, y + first + left);
    std::copy(x + first + left, x + first + right, y + second + left);
  });
}

// For a mix on the CPU. One on the GPU is not waited for: a box outside the image is cut off there.
void check_mix(const double* mix, int64_t H, int64_t W, int64_t unit) {
  CHECK(mix[0] >= 0 && mix[0] <= 1, "mix_images: lambda ", mix[0], " is not in [0, 1]");
  const double width = double(W) / double(unit), height = double(H) / double(unit);
  CHECK(mix[2] >= 0 && mix[4] >= 0 && mix[2] + mix[4] <= width && mix[3] >= 0 && mix[5] >= 0 &&
            mix[3] + mix[5] <= height,
        "mix_images: box ", mix[4], " x ", mix[5], " at (", mix[2], ", ", mix[3],
        ") is not inside the ", W, " x ", H, " image",
        unit == 1 ? "" : str(" of ", width, " x ", height, " squares"));
}

}  // namespace
}  // namespace cpu

// x (B, H, W, C), mix (6)
Tensor ops::mix_images(const Tensor& x, const Tensor& mix, int64_t unit) {
  expect_defined("mix_images", "x", x);
  CHECK(x.rank() == 4, "mix_images: x is ", x.shape(), ", expected (B, H, W, C)");
  CHECK(x.dim(0) % 2 == 0, "mix_images: ", x.dim(0),
        " images do not pair, first with last; use an even batch size");
  expect("mix_images", "mix", mix, {6}, DType::f64);
  CHECK(!needs_grad(mix), "mix_images: mix has no gradient; detach() it");
  CHECK(unit > 0, "mix_images: squares of ", unit, " pixels, expected 1 or more");
  if (mix.device() == Device::cpu) cpu::check_mix(mix.data<double>(), x.dim(1), x.dim(2), unit);
  auto run = [mix = mix.detach(), unit](const Tensor& from) {
    Tensor y = Tensor::empty_like(from);
    DISPATCH(from, mix_images, from, mix, y, from.dim(0), from.dim(1), from.dim(2), from.dim(3),
             unit);
    return y;
  };
  return record("mix_images", run(x), {x}, [run](const Tensor& dy) -> Grads { return {run(dy)}; });
}

}  // namespace rmt
