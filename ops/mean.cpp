// The mean along an axis, x as (outer, n, inner):
//
//   y = 1 / n sum_i x[:, i, :];   dx[:, i, :] = dy / n
//
// mean_pool does that for the L positions of a map: here for a map of n rows and one column.
#include "ops/mean.h"
#include "ops/kernels/axis.h"
#include "ops/mean_pool.h"
#include "ops/view.h"

namespace rmt {

Tensor ops::mean(const Tensor& x, int axis) {
  const Axis a = expect_axis("mean", "x", x, axis);
  CHECK(a.n > 0, "mean: axis ", a.axis, " of x ", x.shape(), " is empty, expected 1 or more");
  Shape shape;
  for (int i = 0; i < x.rank(); ++i)
    if (i != a.axis) shape.push_back(x.dim(i));
  return view(mean_pool(view(x, {a.outer, a.n, 1, a.inner})), shape);
}

}  // namespace rmt
