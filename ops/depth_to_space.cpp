// The channels of a pixel (r, s) are four blocks of C, block 2 i + j for the pixel (2 r + i, 2 s +
// j) of y. With the two parts of the block's number as axes of their own,
//
//   x (B H, W, 2, 2 C),   y (B H, 2, W, 2 C),   y[r, i, s, :] = x[r, s, i, :]
//
// since the C channels of j = 0 and those of j = 1 are neighbours in both. So it is a transpose,
// and its gradient, space to depth, that transpose back.
#include "ops/depth_to_space.h"

#include "ops/kernels/expect_map.h"
#include "ops/transpose.h"
#include "ops/view.h"

namespace rmt {

Tensor ops::depth_to_space(const Tensor& x) {
  expect_map("depth_to_space", x);
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3) / 4;
  CHECK(x.dim(3) == 4 * C, "depth_to_space: x is ", x.shape(),
        ", expected (B, H, W, 4 C): four pixels' channels in each");
  const Tensor rows = transpose(view(x, {B * H, W, 2, 2 * C}), 1, 2);
  return view(rows, {B, 2 * H, 2 * W, C});
}

}  // namespace rmt
