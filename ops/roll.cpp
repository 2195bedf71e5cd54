// The cyclic shift along an axis, x as (outer, n, inner), s = shift mod n:
//
//   y[:, i, :] = x[:, (i - s) mod n, :];   dx[:, i, :] = dy[:, (i + s) mod n, :], a roll by -s
//
// That is two copies: the first n - s elements go to the end, the last s to the beginning.
#include "ops/roll.h"
#include "ops/kernels/axis.h"
#include "ops/kernels/copy_rows.h"
#include "ops/kernels/dispatch.h"

namespace rmt {
namespace gpu {  // roll.cu
template <class T>
void roll(const T* x, T* y, int64_t rows, int64_t width, int64_t shift);
}  // namespace gpu

namespace cpu {
namespace {

// Each row of `width` numbers is turned by `shift` of them, 0 <= shift < width.
template <class T>
void roll(const T* x, T* y, int64_t rows, int64_t width, int64_t shift) {
  const EveryRow row{width};
  copy_rows(rows, width - shift, x, row, y + shift, row);
  copy_rows(rows, shift, x + (width - shift), row, y, row);
}

}  // namespace
}  // namespace cpu

namespace {

// shift in [0, n)
Tensor rolled(const Tensor& x, const Axis& a, int64_t shift) {
  Tensor y = Tensor::empty_like(x);
  if (x.numel() == 0) return y;
  DISPATCH(x, roll, x, y, a.outer, a.n * a.inner, shift * a.inner);
  return y;
}

}  // namespace

Tensor ops::roll(const Tensor& x, int axis, int64_t shift) {
  const Axis a = expect_axis("roll", "x", x, axis);
  const int64_t n = std::max<int64_t>(a.n, 1), s = (shift % n + n) % n;
  return record("roll", rolled(x, a, s), {x},
                [a, n, s](const Tensor& dy) -> Grads { return {rolled(dy, a, (n - s) % n)}; });
}

}  // namespace rmt
