// Eighth tour: a network of one's own, a small residual one (He et al., 2016), trained by a loop of
// one's own on images that lie in memory.
#include <cstdio>

#include "autograd/backward.h"
#include "examples/tours/shapes.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "ops/add.h"
#include "ops/cross_entropy.h"
#include "ops/mean_pool.h"
#include "ops/relu.h"
#include "train/optimizer.h"
#include "train/schedule.h"

using namespace rmt;

// A 3x3 convolution and batch norm.  (B, H, W, I) -> (B, H / stride, W / stride, O)
struct ConvNorm : nn::Module {
  nn::Conv2d& conv;
  nn::BatchNorm& norm;
  ConvNorm(int64_t I, int64_t O, int64_t stride)
      : conv(add<nn::Conv2d>("conv", I, O, 3, stride, 1, nn::ConvOptions{.bias = false})),
        norm(add<nn::BatchNorm>("norm", O)) {}
  Tensor forward(const Tensor& x) { return norm.forward(conv.forward(x)); }
};

// y = relu(x + f(x)): the block learns what is to be added to x.  (B, H, W, C) -> same
struct Residual : nn::Module {
  ConvNorm &first, &second;
  explicit Residual(int64_t C)
      : first(add<ConvNorm>("first", C, C, 1)), second(add<ConvNorm>("second", C, C, 1)) {}
  Tensor forward(const Tensor& x) {
    return ops::relu(ops::add(x, second.forward(ops::relu(first.forward(x)))));
  }
};

struct ResNet : nn::Classifier {
  std::vector<ConvNorm*> halve;  // each halves the map and doubles the channels
  std::vector<Residual*> blocks;
  nn::Linear& head;
  explicit ResNet(int64_t K) : head(add<nn::Linear>("head", 64, K)) {
    for (int64_t C = 16, I = 3; C <= 64; I = C, C *= 2) {
      halve.push_back(&add<ConvNorm>(str("halve.", halve.size()), I, C, 2));
      blocks.push_back(&add<Residual>(str("blocks.", blocks.size()), C));
    }
  }
  Tensor forward(const Tensor& images) override {  // (B, S, S, 3) -> (B, K)
    Tensor x = images;
    for (size_t i = 0; i < blocks.size(); ++i)
      x = blocks[i]->forward(ops::relu(halve[i]->forward(x)));
    return head.forward(ops::mean_pool(x));
  }
};

int main() {
  const Shapes training(6000, 32, 1), validation(500, 32, 2);
  const data::TransformOptions whole{.image_size = 32, .scale_min = 1, .crop_pct = 1};
  data::Loader loader(training, {.batch_size = 50, .seed = 1, .transform = whole});
  data::Loader test_loader(validation, {.batch_size = 50, .train = false, .transform = whole});

  ResNet model(10);
  model.init(1);
  train::Optimizer optimizer(model.parameters(), {.adamw = {.weight_decay = 0.05}});
  const train::Schedule schedule{.lr = 4e-3, .epochs = 4, .warmup_epochs = 0.5};
  int64_t step = 0;
  for (int epoch = 0; epoch < 4; ++epoch) {
    model.mode().training = true;
    loader.start(epoch);
    Tensor loss;
    while (auto batch = loader.next()) {
      loss = ops::cross_entropy(model.forward(numbers(*batch)),
                                ops::smooth_one_hot(batch->labels, 10, 0.1));
      model.zero_grad();
      backward(loss);
      optimizer.step(train::lr_of_step(schedule, step++, loader.batches()));
    }
    std::printf("epoch %d  loss of its last batch %.3f\n", epoch + 1, double(loss.item<float>()));
  }
  const double learned = top1(model, test_loader);
  std::printf("top-1 of %lld drawings: %.1f %%\n", static_cast<long long>(validation.size()),
              learned);
  return learned > 90 ? 0 : 1;
}
