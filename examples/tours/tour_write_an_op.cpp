// Third tour: a new op, from its formula to its proof.  build/bin/tour_write_an_op
//
//   softplus: y = log(1 + e^x),   dy/dx = 1 / (1 + e^-x) = sigmoid(x)
//
// In the library an op is four files: ops/softplus.h declares it, ops/softplus.cpp is the page
// below, ops/softplus.cu its CUDA kernels, and tests/ops/softplus_test.cpp its proof. Nothing else
// knows it.
#include <cmath>
#include <cstdio>

#include "autograd/backward.h"
#include "core/elementwise.h"
#include "ops/kernels/dispatch.h"
#include "ops/sum.h"

namespace rmt {

// 1. Kernels: plain functions on raw pointers, for float and double. They check nothing; whoever
// calls them has.
//    parallel_for cuts [0, n) into pieces by n alone, so that the result cannot depend on the
//    number of threads.
namespace cpu {
template <class T>
void softplus_forward(const T* x, T* y, int64_t n) {
  parallel_for(n, 1 << 14, [=](int64_t begin, int64_t end) {
    // log(1 + e^x) overflows for large x: max(x, 0) + log(1 + e^-|x|) is the same and does not.
    for (int64_t i = begin; i < end; ++i)
      y[i] = std::max(x[i], T(0)) + std::log1p(std::exp(-std::abs(x[i])));
  });
}
template <class T>
void softplus_backward(const T* x, const T* dy, T* dx, int64_t n) {
  parallel_for(n, 1 << 14, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] / (1 + std::exp(-x[i]));
  });
}
}  // namespace cpu

// 2. The op: check, compute as if there were no gradients, then record() how dy becomes dx. The
// function captures what it needs, detached from the tape.
static Tensor softplus(const Tensor& x) {
  CHECK(x.defined(), "softplus: x is undefined");
  Tensor y = Tensor::empty_like(x);
  DISPATCH_CPU(x, softplus_forward, x, y, x.numel());
  return record("softplus", y, {x}, [x = x.detach()](const Tensor& dy) -> Grads {
    Tensor dx = Tensor::empty_like(x);
    DISPATCH_CPU(x, softplus_backward, x, dy, dx, x.numel());
    return {dx};
  });
}

// 3. The proof: in double precision, the gradient against central differences (f(x + h) - f(x - h))
// / 2h, whose error is about h^2 f''' / 6 + 1e-16 / h.
//    (In the library one call, check_op of tests/check_op.h, does this and compares with a slow
//    definition, f32 with f64, one thread with several.)
static double worst_gradient_error(const Tensor& x) {
  Tensor p = leaf(x);
  backward(ops::sum(softplus(p)));
  double worst = 0, h = 1e-5;
  for (int64_t i = 0; i < x.numel(); ++i) {
    auto f = [&](double v) { return softplus(Tensor::full({1}, v, DType::f64)).item<double>(); };
    double v = x.data<double>()[i], slope = (f(v + h) - f(v - h)) / (2 * h);
    worst = std::max(worst, std::fabs(grad(p).data<double>()[i] - slope));
  }
  return worst;
}

}  // namespace rmt

int main() {
  using namespace rmt;
  Tensor x = Tensor::from<double>({-800, -30, -1, 0, 0.5, 2, 30, 800}, {8}), y = softplus(x);
  for (int64_t i = 0; i < 8; ++i)
    std::printf("softplus(%6.1f) = %.6g\n", x.data<double>()[i], y.data<double>()[i]);
  double worst =
      worst_gradient_error(Tensor::from<double>({-30, -3, -1, -0.1, 0, 0.2, 1, 4, 30}, {9}));
  bool good = worst < 1e-9;
  std::printf("largest difference between the gradient and central differences: %.1e, %s\n", worst,
              good ? "as it should be" : "too much");
  return good ? 0 : 1;
}
