// table_n,2j = cos(n angle_2j),  table_n,2j+1 = sin(n angle_2j)
#include "ops/attention/rotary.h"

#include <cmath>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // rotary.cu
template <class T>
void rotary_table(const double* angle, T* table, int64_t L, int64_t D);
}  // namespace gpu

namespace cpu {
namespace {

// In double: n angle reaches thousands of radians, of which a float keeps three or four decimals.
template <class T>
void rotary_table(const double* angle, T* table, int64_t L, int64_t D) {
  simd::for_rows(L, D, [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t d = 0; d < D; d += 2) {
        table[n * D + d] = T(std::cos(double(n) * angle[d]));
        table[n * D + d + 1] = T(std::sin(double(n) * angle[d]));
      }
  });
}

}  // namespace
}  // namespace cpu

// angle (D) -> (H W, D)
Tensor ops::rotary_table(const Tensor& angle, int64_t H, int64_t W, DType dtype) {
  expect_defined("rotary_table", "angle", angle);
  CHECK(angle.rank() == 1 && angle.dim(0) % 2 == 0 && is_float(angle.dtype()),
        "rotary_table: angle is ", angle.dtype(), " ", angle.shape(),
        ", expected floating-point (D) with D even");
  CHECK(H >= 0 && W >= 0, "rotary_table: a map of ", H, " x ", W);
  const int64_t L = H * W, D = angle.dim(0);
  const Tensor angle64 = angle.to(DType::f64);
  const std::vector<double> a = angle64.to_vector<double>();
  Tensor table = Tensor::empty({L, D}, dtype, angle.device());
  for (size_t d = 0; d < a.size(); d += 2)
    CHECK(a[d] == a[d + 1], "rotary_table: angles ", d, " and ", d + 1, " of a pair differ: ", a[d],
          ", ", a[d + 1]);
  DISPATCH(table, rotary_table, angle64, table, L, D);
  return table;
}

}  // namespace rmt
