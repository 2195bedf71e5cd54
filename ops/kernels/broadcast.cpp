#include "ops/kernels/broadcast.h"

#include <algorithm>

#include "ops/kernels/expect.h"

namespace rmt {
namespace {

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  Shape y = a.rank() >= b.rank() ? a : b;
  for (int d = 1; d <= std::min(a.rank(), b.rank()); ++d) {
    CHECK(a[-d] == b[-d] || a[-d] == 1 || b[-d] == 1, op, ": a ", a, " and b ", b,
          " do not fit: dimension ", -d, ", counted from the end, has extents ", a[-d], " and ",
          b[-d], ", expected equal ones, or 1");
    y.set(-d, a[-d] == 1 ? b[-d] : a[-d]);
  }
  return y;
}

}  // namespace

Operands::Operands(const char* op, const Tensor& a_, const Tensor& b_) {
  expect_defined(op, "a", a_);
  expect_defined(op, "b", b_);
  CHECK(wide(a_.dtype()) == wide(b_.dtype()), op, ": b is ", b_.dtype(), ", expected ", a_.dtype(),
        " as a is; convert one with Tensor::to(DType)");
  CHECK(a_.device() == b_.device(), op, ": one tensor ", a_.shape(), " is on ", a_.device(),
        ", another, ", b_.shape(), ", on ", b_.device(),
        "; bring them together with Tensor::to(Device)");
  const DType dtype = b_.dtype() == DType::bf16 ? DType::bf16 : a_.dtype();
  a = in_dtype(a_, dtype).detach();
  b = in_dtype(b_, dtype).detach();
  y = Tensor::empty(broadcast_shape(op, a.shape(), b.shape()), dtype, a.device());
}

}  // namespace rmt
