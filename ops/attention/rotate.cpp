// y0 = x0 cos a - x1 sin a,     y1 = x1 cos a + x0 sin a
// dx0 = dy0 cos a + dy1 sin a,  dx1 = dy1 cos a - dy0 sin a
//
// A rotation's transpose is its inverse, so the gradient is the rotation back: by -a.
#include "ops/attention/rotate.h"

#include "ops/attention/cpu.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // rotate.cu
template <class T>
void rotate_positions(const T* x, const Wide<T>* rotary, T* y, int64_t positions, int64_t L,
                      int64_t C, int64_t D, double sign);
}  // namespace gpu

namespace cpu {
namespace {

// By the angles of rotary, with sign -1 back. Position p of all images is number p % L of its own.
template <class T>
void rotate_positions(const T* x, const T* rotary, T* y, int64_t positions, int64_t L, int64_t C,
                      int64_t D, double sign) {
  simd::for_each_row(positions, C, [=](int64_t p) {
    const T* const angles = rotary + p % L * D;
    for (int64_t head = p * C; head < (p + 1) * C; head += D)
      simd::for_columns<T>(D, [&](int64_t d, auto count) {
        const Vec<T> turned =
            rotate<T>(simd::load(x + head + d, count), simd::load(angles + d, count), T(sign));
        simd::store<T>(y + head + d, turned, count);
      });
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::rotate(const Tensor& x, const Tensor& rotary) {
  const char* op = "rotate";
  CHECK(x.defined() && x.rank() == 4 && x.dim(3) > 0, op, ": x is ", x.shape(),
        ", expected (B, H, W, C) with C > 0");
  expect_defined(op, "rotary", rotary);
  const int64_t L = x.dim(1) * x.dim(2), C = x.dim(3);
  const int64_t D = rotary.rank() == 2 ? rotary.dim(1) : 0;
  CHECK(D > 0 && D % 2 == 0 && C % D == 0, op, ": rotary is ", rotary.shape(), " for ", C,
        " channels, expected (", L, ", D) with D even and a divisor of the channels");
  expect(op, "rotary", rotary, {L, D}, wide(x.dtype()));
  CHECK(!rotary.node, op, ": rotary has no gradient; detach() it");

  auto turn = [=](const Tensor& from, double sign) {
    Tensor to = Tensor::empty_like(from);
    if (from.numel() > 0)
      DISPATCH(from, rotate_positions, from, rotary, to, from.numel() / C, L, C, D, sign);
    return to;
  };
  return record(op, turn(x, 1), {x}, [turn](const Tensor& dy) -> Grads { return {turn(dy, -1)}; });
}

}  // namespace rmt
