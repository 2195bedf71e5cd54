// Fifth tour: modules. A module owns parameters and other modules under names, and has a forward
// function. That is all a network is: building it is also writing the list of its names.
//   build/bin/tour_module
#include <cstdio>
#include <string>

#include "autograd/backward.h"
#include "core/random.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "ops/add.h"
#include "ops/cross_entropy.h"
#include "ops/gelu.h"
#include "ops/mean_pool.h"

using namespace rmt;

// y = x + gelu(norm(conv(x))).  (B, H, W, C) -> same
struct Residual : nn::Module {
  nn::Conv2d& conv;
  nn::BatchNorm& norm;

  // add() makes the child, keeps it, and registers it under a name.
  explicit Residual(int64_t C)
      : conv(add<nn::Conv2d>("conv", C, C, 3, 1, 1)), norm(add<nn::BatchNorm>("norm", C)) {}

  Tensor forward(const Tensor& x) { return ops::add(x, ops::gelu(norm.forward(conv.forward(x)))); }
};

// Images (B, H, W, 3) -> logits (B, K)
struct SmallNet : nn::Module {
  nn::Conv2d& stem;
  Residual& block;
  nn::Linear& head;

  SmallNet(int64_t C, int64_t K)
      : stem(add<nn::Conv2d>("stem", 3, C, 3, 2, 1)),
        block(add<Residual>("block", C)),
        head(add<nn::Linear>("head", C, K)) {}

  Tensor forward(const Tensor& images) {
    return head.forward(ops::mean_pool(block.forward(stem.forward(images))));
  }
};

// The task: is the left or the right half of the image the brighter one? (B, 8, 8, 3), (B)
static void draw_halves(int64_t B, Tensor& images, Tensor& labels) {
  images = Tensor::empty({B, 8, 8, 3});
  labels = Tensor::empty({B}, DType::i64);
  Random random(1, Purpose::test);
  for (int64_t b = 0; b < B; ++b) {
    const int64_t bright = b % 2;
    labels.data<int64_t>()[b] = bright;
    for (int64_t i = 0; i < 8 * 8 * 3; ++i) {
      const int64_t half = i / 3 % 8 / 4;
      images.data<float>()[b * 192 + i] = float(random.normal()) + (half == bright ? 0.5f : -0.5f);
    }
  }
}

int main() {
  SmallNet net(16, 2);
  net.init(42);  // every layer fills its own parameters: a function of (seed, place in the list)

  // 1. The list of names is the network's file format: a checkpoint is this list with its numbers.
  for (const nn::Entry& e : net.state())
    std::printf("%-30s %-14s %s\n", e.name.c_str(), str(e.tensor->shape()).c_str(),
                e.parameter ? "learned" : "a statistic, kept");
  std::printf("%lld numbers are learned\n", static_cast<long long>(net.parameter_count()));

  // 2. A mode that all of its modules see: batch norm takes the statistics of the batch in
  //    training, and the running ones otherwise. So the same images give other logits.
  Tensor images, labels;
  draw_halves(256, images, labels);
  net.mode().training = true;
  const float in_training = net.forward(images).data<float>()[0];
  net.mode().training = false;
  const float in_evaluation = net.forward(images).data<float>()[0];
  std::printf("the first logit in training %.4f, in evaluation %.4f\n", double(in_training),
              double(in_evaluation));

  // 3. Training: forward, loss, backward, a step against each gradient. The names do the rest.
  net.mode().training = true;
  const Tensor target = ops::smooth_one_hot(labels, 2, 0);  // (256, 2)
  float first = 0;
  float last = 0;
  for (int step = 0; step <= 60; ++step) {
    net.zero_grad();
    const Tensor loss = ops::cross_entropy(net.forward(images), target);
    backward(loss);
    for (const nn::Entry& e : net.parameters()) {
      const Tensor& p = *e.tensor;
      const Tensor dp = grad(p);
      for (int64_t i = 0; i < p.numel(); ++i) p.data<float>()[i] -= 0.5f * dp.data<float>()[i];
    }
    last = loss.item<float>();
    if (step == 0) first = last;
    if (step % 20 == 0) std::printf("step %2d  loss %.4f\n", step, double(last));
  }

  const bool as_claimed = in_training != in_evaluation && last < first / 2;
  std::printf("%s\n", as_claimed ? "it learns" : "it should have learned, and did not");
  return as_claimed ? 0 : 1;
}
