#include "autograd/checkpoint.h"

#include "autograd/backward.h"

namespace rmt {

Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  if (!GradMode::enabled()) return f(x);
  Tensor y;
  {
    NoGrad off;
    y = f(x.detach());
  }
  // Leaves captured by f may need gradients even where x does not, so the result is recorded in any
  // case.
  Tensor input = x.node ? x : leaf(x);
  return record("checkpoint", y, {input}, [f, x = x.detach()](const Tensor& dy) -> Grads {
    GradMode on(true);
    Tensor again = leaf(x);
    backward(f(again), dy);
    return {grad(again)};
  });
}

}  // namespace rmt
