// y_bhwc = (x_bhw'c / 255 - mean_c) / deviation_c,  w' = W - 1 - w where the image is mirrored, else w: all in f32, then rounded to the type of y
#include "core/rows.h"
#include "ops/dispatch.h"
#include "ops/expect.h"
#include "ops/ops.h"

namespace rmt {
namespace gpu {  // normalize.cu
template <class T>
void normalize(const uint8_t* x, const uint8_t* mirror, T* y, int64_t B, int64_t H, int64_t W, const ops::NormalizeOptions& o);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void normalize(const uint8_t* x, const uint8_t* mirror, T* y, int64_t B, int64_t H, int64_t W, const ops::NormalizeOptions& o) {
  simd::for_rows(B * H, W * 3, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t w = 0; w < W; ++w) {
        const int64_t from = (row * W + (mirror && mirror[row / H] ? W - 1 - w : w)) * 3, to = (row * W + w) * 3;
        for (int64_t c = 0; c < 3; ++c) y[to + c] = T((float(x[from + c]) / 255.f - o.mean[c]) / o.deviation[c]);
      }
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::normalize(const Tensor& x, const Tensor& mirror, const NormalizeOptions& o, DType dtype) {  // x (B, H, W, 3) u8
  expect_defined("normalize", "x", x);
  CHECK(x.rank() == 4 && x.dim(3) == 3 && x.dtype() == DType::u8, "normalize: x is ", x.dtype(), " ", x.shape(), ", expected u8 (B, H, W, 3)");
  if (mirror.defined()) expect("normalize", "mirror", mirror, {x.dim(0)}, DType::u8);
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  DISPATCH(y, normalize, ptr(x), ptr(mirror), ptr(y), x.dim(0), x.dim(1), x.dim(2), o);
  return y;
}

}  // namespace rmt
