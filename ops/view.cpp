// y = x under another shape;   dx = dy under x's shape. Neither copies.
#include "ops/view.h"
#include "ops/kernels/expect.h"

namespace rmt {

Tensor ops::view(const Tensor& x, const Shape& shape) {
  expect_defined("view", "x", x);
  return record("view", x.detach().view(shape), {x},
                [shape = x.shape()](const Tensor& dy) -> Grads { return {dy.view(shape)}; });
}

}  // namespace rmt
