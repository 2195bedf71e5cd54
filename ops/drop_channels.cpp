// Dropout of whole channels, by lots u_bc in [0, 1), one for each channel c of a sample b:
//
//   y_blc = m_bc x_blc,   m_bc = 0 if u_bc < rate, else 1 / (1 - rate);   dx_blc = m_bc dy_blc
#include "ops/drop_channels.h"

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/dropout.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // drop_channels.cu
template <class T>
void drop_channels(const T* x, const int64_t* step, T* y, int64_t B, int64_t L, int64_t C,
                   const DropoutLots& lots, double scale);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
void drop_channels(View<const T> x, const int64_t* step, View<T> y, int64_t B, int64_t L, int64_t C,
                   const DropoutLots& lots, double scale) {
  std::vector<T> factors(B * C);
  for (int64_t i = 0; i < B * C; ++i) {
    const int64_t lot = lots.first + i;
    const uint32_t word = lots.words(*step, lot / 4)[size_t(lot % 4)];
    factors[i] = word < lots.dropped ? T(0) : T(scale);
  }
  const View<const T> m = factors.data();
  simd::for_each_row(B * L, C, [=](int64_t r) {
    simd::for_columns<T>(C, [&](auto c) {
      const Vec<T> m_c = m(r / L, c);
      y(r, c) = m_c == 0 ? Vec<T>{} : m_c * x(r, c);  // 0 for what is not finite, too
    });
  });
}

}  // namespace
}  // namespace cpu

// x (B, ..., C), step ()
Tensor ops::drop_channels(const Tensor& x, const Tensor& step, const DropoutOptions& o) {
  expect_defined("drop_channels", "x", x);
  expect("drop_channels", "step", step, {}, DType::i64);
  CHECK(x.rank() >= 2 && x.shape()[-1] > 0, "drop_channels: x is ", x.shape(),
        ", expected (B, ..., C) with C > 0");
  CHECK(o.rate >= 0 && o.rate < 1, "drop_channels: rate ", o.rate, " is not in [0, 1)");
  CHECK(o.layer >= 0 && o.layer >> 32 == 0, "drop_channels: layer ", o.layer,
        " is not in [0, 2^32)");
  const int64_t B = x.dim(0), C = x.shape()[-1], L = x.numel() ? x.numel() / (B * C) : 1,
                first = o.first_sample * C;
  CHECK(first >= 0 && (first + B * C) >> 34 == 0, "drop_channels: x ", x.shape(), " at sample ",
        o.first_sample, ": a batch has fewer than 2^34 channels");
  const DropoutLots lots{o.seed, o.layer, first, uint32_t(o.rate * 0x1p32)};
  const double scale = 1 / (1 - o.rate);
  Tensor y = Tensor::empty_like(x);
  if (x.numel() > 0) DISPATCH(x, drop_channels, x, step, y, B, L, C, lots, scale);
  return record("drop_channels", y, {x}, [step, B, L, C, lots, scale](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(dy);
    if (dy.numel() > 0) DISPATCH(dy, drop_channels, dy, step, dx, B, L, C, lots, scale);
    return {dx};
  });
}

}  // namespace rmt
