// From the bytes of images to what a model reads, mirrored and with rectangles erased.
//
//   y_bhwc = (x_bhw'c / 255 - mean_c) / deviation_c,   w' = W - 1 - w in a mirrored image, else w
//   y_bhwc = number c of normals(key, erase, h W + w)  inside the rectangle erase_b = {x, y, width,
//                                                      height, key}
//
// All in f32, then rounded to the type of y.
#include "ops/normalize.h"
#include "core/random.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // normalize.cu
template <class T>
void normalize(const uint8_t* x, const uint8_t* mirror, const int64_t* erase, T* y, int64_t B,
               int64_t H, int64_t W, const ops::NormalizeOptions& o);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void normalize(const uint8_t* x, const uint8_t* mirror, const int64_t* erase, T* y, int64_t B,
               int64_t H, int64_t W, const ops::NormalizeOptions& o) {
  simd::for_each_row(B * H, W * 3, [=](int64_t row) {
    const int64_t b = row / H, h = row % H;
    for (int64_t w = 0; w < W; ++w) {
      const int64_t from = (row * W + (mirror && mirror[b] ? W - 1 - w : w)) * 3,
                    to = (row * W + w) * 3;
      for (int64_t c = 0; c < 3; ++c)
        y[to + c] = T((float(x[from + c]) / 255.f - o.mean[c]) / o.deviation[c]);
    }
    const int64_t* e = erase + b * 5;
    if (!erase || h < e[1] || h - e[1] >= e[3]) return;
    for (int64_t w = std::max<int64_t>(0, e[0]); w < std::min(W, e[0] + e[2]); ++w) {
      const std::array<float, 4> noise = normals(uint64_t(e[4]), Purpose::erase, h * W + w);
      for (int64_t c = 0; c < 3; ++c) y[(row * W + w) * 3 + c] = T(noise[c]);
    }
  });
}

}  // namespace
}  // namespace cpu

// x (B, H, W, 3), mirror (B), erase (B, 5)
Tensor ops::normalize(const Tensor& x, const Tensor& mirror, const NormalizeOptions& o, DType dtype,
                      const Tensor& erase) {
  expect_defined("normalize", "x", x);
  CHECK(x.rank() == 4 && x.dim(3) == 3 && x.dtype() == DType::u8, "normalize: x is ", x.dtype(),
        " ", x.shape(), ", expected u8 (B, H, W, 3)");
  if (mirror.defined()) expect("normalize", "mirror", mirror, {x.dim(0)}, DType::u8);
  if (erase.defined()) expect("normalize", "erase", erase, {x.dim(0), 5}, DType::i64);
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  DISPATCH(y, normalize, x, mirror, erase, y, x.dim(0), x.dim(1), x.dim(2), o);
  return y;
}

}  // namespace rmt
