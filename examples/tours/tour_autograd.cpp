// Second tour: gradients. Trains a small network on two spirals, with nothing but tensors, ops and
// backward().  build/bin/tour_autograd
#include <cmath>
#include <cstdio>

#include "autograd/backward.h"
#include "core/random.h"
#include "ops/cross_entropy.h"
#include "ops/gelu.h"
#include "ops/linear.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "train/metrics.h"

using namespace rmt;

// Two arms that wind around each other: points (count, 2) and which arm each is on (count).
static void spirals(int64_t count, Tensor& points, Tensor& arms) {
  points = Tensor::empty({count, 2});
  arms = Tensor::empty({count}, DType::i64);
  Random random(1, Purpose::test);
  for (int64_t i = 0; i < count; ++i) {
    double r = random.uniform(0.1, 1), angle = 6 * r + 3.14159265 * double(i % 2);
    points.data<float>()[2 * i] = float(r * std::cos(angle) + 0.02 * random.normal());
    points.data<float>()[2 * i + 1] = float(r * std::sin(angle) + 0.02 * random.normal());
    arms.data<int64_t>()[i] = i % 2;
  }
}

// A parameter: a leaf of the tape, which collects a gradient. Here from N(0, 2 / inputs).
static Tensor parameter(const Shape& shape, uint64_t seed) {
  Tensor x = Tensor::empty(shape);
  Random random(seed, Purpose::init);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] = float(random.normal() * std::sqrt(2. / double(shape[-1])));
  return leaf(x);
}

int main() {
  // 1. One gradient by hand. y = sum(x * x), so dy/dx = 2 x.
  Tensor x = leaf(Tensor::from<float>({1, -2, 3}, {3}));
  backward(ops::sum(ops::mul(x, x)));
  std::printf("d sum(x^2) / dx at (1, -2, 3): %g %g %g\n", double(grad(x).data<float>()[0]),
              double(grad(x).data<float>()[1]), double(grad(x).data<float>()[2]));
  // A second backward adds to what is there; clear_grad() starts again.
  backward(ops::sum(x));
  std::printf("after adding d sum(x) / dx:    %g %g %g\n", double(grad(x).data<float>()[0]),
              double(grad(x).data<float>()[1]), double(grad(x).data<float>()[2]));

  // 2. A network: 2 -> 64 -> 64 -> 2. Its parameters are leaves, its forward pass is a function.
  Tensor w1 = parameter({64, 2}, 1), b1 = leaf(Tensor::zeros({64})), w2 = parameter({64, 64}, 2),
         b2 = leaf(Tensor::zeros({64})), w3 = parameter({2, 64}, 3);
  auto forward = [&](const Tensor& p) {
    return ops::linear(ops::gelu(ops::linear(ops::gelu(ops::linear(p, w1, b1)), w2, b2)), w3);
  };

  // 3. Training is: forward, loss, backward, a step against the gradient.
  Tensor points, arms;
  spirals(400, points, arms);
  Tensor target = ops::smooth_one_hot(arms, 2, 0);  // (400, 2)
  double right = 0;
  for (int step = 0; step <= 600; ++step) {
    Tensor loss = ops::cross_entropy(forward(points), target);
    backward(loss);
    for (const Tensor& w : {w1, b1, w2, b2, w3}) {
      for (int64_t i = 0; i < w.numel(); ++i) w.data<float>()[i] -= 0.5f * grad(w).data<float>()[i];
      clear_grad(w);
    }
    if (step % 100 == 0) {
      NoGrad off;  // nothing is recorded while one lives: no gradient is wanted here
      train::Metrics m;
      m.add(forward(points), arms);
      right = m.acc1();
      std::printf("step %3d  loss %.4f  right %.1f %%\n", step, m.loss(), right);
    }
  }
  return right > 99 ? 0 : 1;
}
