// Ninth tour: a plain vision transformer (Dosovitskiy et al., 2021), registered under a name and
// trained by the library's Trainer. Its checkpoint is found again by that name.
#include <cmath>
#include <iostream>

#include "examples/tours/shapes.h"
#include "nn/models/registry.h"
#include "ops/add.h"
#include "ops/gelu.h"
#include "ops/matmul.h"
#include "ops/mean.h"
#include "ops/scale.h"
#include "ops/slice.h"
#include "ops/softmax.h"
#include "ops/transpose.h"
#include "ops/view.h"
#include "train/trainer.h"
using namespace rmt;

// A sum over I inputs keeps their size with weights of deviation 1 / sqrt(I).
struct Linear : nn::Linear {
  Linear(int64_t I, int64_t O) : nn::Linear(I, O) { deviation = 1 / std::sqrt(double(I)); }
};

struct Attention : nn::Module {  // (B, L, C) -> same, with N = 4 heads of D channels
  Linear &qkv = add<Linear>("qkv", 64, 192), &proj = add<Linear>("proj", 64, 64);
  Tensor forward(const Tensor& x) {
    const int64_t B = x.dim(0), L = x.dim(1), C = x.dim(2), N = 4, D = C / N;
    const Tensor all = ops::transpose(ops::view(qkv.forward(x), {B, L, 3 * N, D}), 1, 2);
    auto part = [&](int64_t i) { return ops::slice(all, 1, i * N, (i + 1) * N); };  // (B, N, L, D)
    const Tensor scores = ops::matmul(part(0), part(1), false, true);               // (B, N, L, L)
    const Tensor weights = ops::softmax(ops::scale(scores, 1 / std::sqrt(double(D))));
    return proj.forward(ops::view(ops::transpose(ops::matmul(weights, part(2)), 1, 2), {B, L, C}));
  }
};

struct Block : nn::Module {  // (B, L, C) -> same
  nn::LayerNorm &norm1 = add<nn::LayerNorm>("norm1", 64), &norm2 = add<nn::LayerNorm>("norm2", 64);
  Attention& attention = add<Attention>("attention");
  Linear &fc1 = add<Linear>("fc1", 64, 256), &fc2 = add<Linear>("fc2", 256, 64);
  Tensor forward(const Tensor& input) {
    const Tensor x = ops::add(input, attention.forward(norm1.forward(input)));
    return ops::add(x, fc2.forward(ops::gelu(fc1.forward(norm2.forward(x)))));
  }
};

struct Vit : nn::Classifier {
  nn::Conv2d& patch = add<nn::Conv2d>("patch", 3, 64, 8, 8, 0);  // 8 x 8 pixels: 64 channels
  Block &b0 = add<Block>("b0"), &b1 = add<Block>("b1"), &b2 = add<Block>("b2");
  nn::LayerNorm& norm = add<nn::LayerNorm>("norm", 64);
  Linear& head;
  Tensor& position;  // (L, C), added to the tokens
  Vit(int64_t S, int64_t K)
      : head(add<Linear>("head", 64, K)), position(parameter("position", {S * S / 64, 64})) {}
  Tensor forward(const Tensor& images) override {  // (B, S, S, 3) -> (B, K)
    const Tensor tokens = ops::view(patch.forward(images), {images.dim(0), -1, 64});
    const Tensor x = b2.forward(b1.forward(b0.forward(ops::add(tokens, position))));
    return head.forward(ops::mean(norm.forward(x), 1));
  }
};
static const nn::RegisterModel vit("tour_vit", "a tour's transformer", [](const auto& settings) {
  return std::make_unique<Vit>(settings.img_size, settings.num_classes);
});

int main() {
  train::TrainOptions o;
  o.model = "tour_vit", o.img_size = 32, o.scale = {1, 1}, o.crop_pct = 1;
  o.epochs = 12, o.batch_size = 32, o.lr = 3e-3, o.warmup_epochs = 1, o.log_interval = 0;
  const Shapes training(20000, 32, 1), validation(500, 32, 2);
  const auto model = train::make_model(o, 10);
  model->init(1);
  train::Trainer trainer(*model, training, validation, o, std::cout);
  trainer.run(train::RunFolder::create("build/tour_vit", "", o.model, o.img_size));

  const train::ModelFile file = train::load_model_file(trainer.folder().path());
  data::Loader loader(validation, train::loader_options(file.options, false));
  const double learned = top1(*file.model, loader);
  std::cout << file.origin << ": top-1 " << learned << " %\n";
  return learned > 90 ? 0 : 1;
}
