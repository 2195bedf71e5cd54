// y_i = exp(x_i - max) / sum_j exp(x_j - max);   dx_i = y_i (dy_i - sum_j dy_j y_j), so backward
// needs y, not x
#include <limits>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/softmax.h"

namespace rmt {
namespace gpu {  // softmax.cu
template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t M);
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t M);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec;

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t M) {
  constexpr T least = -std::numeric_limits<T>::infinity();  // no maximum, and exp gives 0
  simd::for_rows(rows, M, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * M;
      T* out = y + r * M;
      Vec<T> largest = simd::broadcast<T>(least), total{};
      simd::for_columns<T>(M, [&](int64_t c, auto count) {
        largest = simd::max<T>(largest, simd::load(row + c, count, least));
      });
      const T max = simd::max_lane<T>(largest);
      simd::for_columns<T>(M, [&](int64_t c, auto count) {
        Vec<T> e = simd::exp(simd::load(row + c, count, least) - max);
        total += e;
        simd::store<T>(out + c, e, count);
      });
      const T scale = 1 / simd::sum<T>(total);
      simd::for_columns<T>(M, [&](int64_t c, auto count) {
        simd::store<T>(out + c, simd::load(out + c, count) * scale, count);
      });
    }
  });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t M) {
  simd::for_rows(rows, M, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * M; i < end * M; i += M) {
      Vec<T> s{};
      simd::for_columns<T>(M, [&](int64_t c, auto count) {
        s += simd::load(y + i + c, count) * simd::load(dy + i + c, count);
      });
      const T dot = simd::sum<T>(s);
      simd::for_columns<T>(M, [&](int64_t c, auto count) {
        simd::store<T>(dx + i + c,
                       simd::load(y + i + c, count) * (simd::load(dy + i + c, count) - dot), count);
      });
    }
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::softmax(const Tensor& x) {  // x (..., M)
  const int64_t M = expect_columns("softmax", "x", x), rows = x.numel() / M;
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, softmax_forward, x, y, rows, M);
  return record("softmax", y, {x}, [y = y.detach(), rows, M](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(y);
    DISPATCH(y, softmax_backward, y, dy, dx, rows, M);
    return {dx};
  });
}

}  // namespace rmt
