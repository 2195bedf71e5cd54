// Ninth tour: a plain vision transformer (Dosovitskiy et al., 2021), registered under a name, and
// trained by the library's Trainer. Its checkpoint is found again by that name.
#include <cmath>
#include <iostream>

#include "examples/tours/shapes.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/models/registry.h"
#include "nn/norm.h"
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

struct Attention : nn::Module {  // (B, L, C) -> same
  nn::Linear &qkv, &proj;
  explicit Attention(int64_t C)
      : qkv(add<nn::Linear>("qkv", C, 3 * C)), proj(add<nn::Linear>("proj", C, C)) {}
  Tensor forward(const Tensor& x) {
    const int64_t B = x.dim(0), L = x.dim(1), C = x.dim(2), N = 4, D = C / N;  // N heads
    const Tensor all = ops::transpose(ops::view(qkv.forward(x), {B, L, 3 * N, D}), 1, 2);
    auto part = [&](int64_t i) { return ops::slice(all, 1, i * N, (i + 1) * N); };  // (B, N, L, D)
    const Tensor scores = ops::matmul(part(0), part(1), false, true);               // (B, N, L, L)
    const Tensor weights = ops::softmax(ops::scale(scores, 1 / std::sqrt(double(D))));
    return proj.forward(ops::view(ops::transpose(ops::matmul(weights, part(2)), 1, 2), {B, L, C}));
  }
};

struct Block : nn::Module {  // (B, L, C) -> same
  nn::LayerNorm &norm1, &norm2;
  Attention& attn;
  nn::Linear &fc1, &fc2;
  explicit Block(int64_t C)
      : norm1(add<nn::LayerNorm>("norm1", C)),
        norm2(add<nn::LayerNorm>("norm2", C)),
        attn(add<Attention>("attn", C)),
        fc1(add<nn::Linear>("fc1", C, 4 * C)),
        fc2(add<nn::Linear>("fc2", 4 * C, C)) {}
  Tensor forward(const Tensor& input) {
    const Tensor x = ops::add(input, attn.forward(norm1.forward(input)));
    return ops::add(x, fc2.forward(ops::gelu(fc1.forward(norm2.forward(x)))));
  }
};

struct Vit : nn::Classifier {
  nn::Conv2d& patch;  // every 6 x 6 pixels become a token of C channels
  Tensor& position;   // (L, C), added to them
  std::vector<Block*> blocks;
  nn::LayerNorm& norm;
  nn::Linear& head;
  Vit(int64_t S, int64_t K, int64_t C = 64)
      : patch(add<nn::Conv2d>("patch", 3, C, 6, 6, 0)),
        position(parameter("pos_embed", {(S / 6) * (S / 6), C})),
        norm(add<nn::LayerNorm>("norm", C)),
        head(add<nn::Linear>("head", C, K)) {
    for (int i = 0; i < 4; ++i) blocks.push_back(&add<Block>(str("blocks.", i), C));
  }
  Tensor forward(const Tensor& images) override {  // (B, S, S, 3) -> (B, K)
    const Tensor map = patch.forward(images);      // (B, S / 6, S / 6, C)
    Tensor x = ops::add(ops::view(map, {map.dim(0), map.dim(1) * map.dim(2), -1}), position);
    for (Block* block : blocks) x = block->forward(x);
    return head.forward(ops::mean(norm.forward(x), 1));
  }
  void init_own(const std::function<Random()>& random) override {
    nn::fill_normal(position, random(), 0.02);
  }
};

static const nn::RegisterModel registered("tour_vit", "the tour's vision transformer",
                                          [](const nn::ModelSettings& s) {
                                            return std::make_unique<Vit>(s.img_size, s.num_classes);
                                          });

int main() {
  const Shapes training(12000, 48, 1), validation(500, 48, 2);
  train::TrainOptions o;
  o.model = "tour_vit", o.img_size = 48, o.epochs = 12, o.batch_size = 50, o.lr = 2e-3;
  o.warmup_epochs = 1, o.scale = {0.6, 1}, o.crop_pct = 1, o.log_interval = 0;
  const auto model = train::make_model(o, 10);
  model->init(o.seed);
  train::Trainer trainer(*model, training, validation, o, std::cout);
  const auto folder = train::RunFolder::create("build/tour_vit", "", o.model, o.img_size);
  trainer.run(folder);
  return 0;
}
