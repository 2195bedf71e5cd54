// Dropout, by lots u_i in [0, 1) that are Philox of (seed, step, layer, element).
//
//   y_i = m_i x_i,   m_i = 0 if u_i < rate, else 1 / (1 - rate);   dx_i = m_i dy_i
#include "ops/dropout.h"
#include "core/parallel.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/dropout.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // dropout.cu
template <class T>
void dropout(const T* x, const int64_t* step, T* y, int64_t n, const DropoutLots& lots,
             double scale);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void dropout(const T* x, const int64_t* step, T* y, int64_t n, const DropoutLots& lots,
             double scale) {
  parallel_for(n, 1 << 14, [=, s = T(scale)](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t element = lots.first + i;
      const std::array<uint32_t, 4> words = lots.words(*step, element / 4);
      for (size_t k = size_t(element % 4); k < 4 && i < end; ++k, ++i)
        y[i] = words[k] < lots.dropped ? T(0) : s * x[i];
    }
  });
}

}  // namespace
}  // namespace cpu

// x (B, ...), step ()
Tensor ops::dropout(const Tensor& x, const Tensor& step, const DropoutOptions& o) {
  expect_defined("dropout", "x", x);
  expect("dropout", "step", step, {}, DType::i64);
  CHECK(x.rank() >= 1, "dropout: x is ", x.shape(), ", expected (B, ...)");
  CHECK(o.rate >= 0 && o.rate < 1, "dropout: rate ", o.rate, " is not in [0, 1)");
  CHECK(o.layer >= 0 && o.layer >> 32 == 0, "dropout: layer ", o.layer, " is not in [0, 2^32)");
  const int64_t n = x.numel(), first = n ? o.first_sample * (n / x.dim(0)) : 0;
  CHECK(first >= 0 && (first + n) >> 34 == 0, "dropout: x ", x.shape(), " at sample ",
        o.first_sample, ": a batch has fewer than 2^34 elements");
  const DropoutLots lots{o.seed, o.layer, first, uint32_t(o.rate * 0x1p32)};
  const double scale = 1 / (1 - o.rate);
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, dropout, x, step, y, n, lots, scale);
  return record("dropout", y, {x}, [step, n, lots, scale](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(dy);
    DISPATCH(dy, dropout, dy, step, dx, n, lots, scale);
    return {dx};
  });
}

}  // namespace rmt
