// From pixels to tokens (Stem), and from one resolution to half of it (Stage: blocks, then a
// strided convolution) (RMT.md 1.2.1, 1.2.2).
#pragma once
#include "autograd/checkpoint.h"
#include "nn/rmt/block.h"
#include "ops/gelu.h"

namespace rmt::nn {

// (B, H, W, 3) -> (B, H/4, W/4, C), sizes rounded up: four 3x3 convolutions, the first and third of
// stride 2, batch norm after each, GELU between.
struct Stem : Module {
  struct Layer {
    Conv2d& conv;
    BatchNorm& norm;
  };
  std::vector<Layer> layers;
  Stem(int64_t C, bool convolutional) {
    auto layer = [this](int place, int64_t I, int64_t O, int64_t k, int64_t stride, int64_t pad) {
      Conv2d& conv = add<Conv2d>(str("proj.", place), I, O, k, stride, pad);
      layers.push_back({conv, add<BatchNorm>(str("proj.", place + 1), O)});
    };
    if (!convolutional) {
      layer(0, 3, C, 4, 4, 0);
      return;
    }
    layer(0, 3, C / 2, 3, 2, 1);
    layer(3, C / 2, C / 2, 3, 1, 1);
    layer(6, C / 2, C, 3, 2, 1);
    layer(9, C, C, 3, 1, 1);
  }
  Tensor forward(Tensor x) {
    for (size_t i = 0; i < layers.size(); ++i) {
      if (i > 0) x = ops::gelu(x);
      x = layers[i].norm.forward(layers[i].conv.forward(x));
    }
    return x;
  }
};

// (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), C')
struct Downsample : Module {
  Conv2d& reduction;
  BatchNorm& norm;
  Downsample(int64_t C, int64_t C_next)
      : reduction(add<Conv2d>("reduction", C, C_next, 3, 2, 1)),
        norm(add<BatchNorm>("norm", C_next)) {}
  Tensor forward(const Tensor& x) { return norm.forward(reduction.forward(x)); }
};

struct Stage : Module {
  Position& position;
  std::vector<Block*> blocks;
  Downsample* downsample = nullptr;  // null in the last stage
  bool recompute;

  // first_block: how many blocks precede this stage; total: blocks of the model, over which the
  // drop path grows from 0 to c.drop_path.
  Stage(const RmtConfig& c, int stage, int64_t first_block, int64_t total)
      : position(add<Position>("Relpos", c.dims[size_t(stage)], c.heads[size_t(stage)],
                               c.decay_init[size_t(stage)], c.decay_range[size_t(stage)])),
        recompute(c.recompute) {
    for (int64_t i = 0; i < c.depths[size_t(stage)]; ++i) {
      int64_t index = first_block + i;
      blocks.push_back(
          &add<Block>(str("blocks.", i), c, stage, index,
                      total > 1 ? c.drop_path * double(index) / double(total - 1) : 0.0));
    }
    if (stage < 3)
      downsample = &add<Downsample>("downsample", c.dims[size_t(stage)], c.dims[size_t(stage) + 1]);
  }
  Tensor forward(Tensor x) {
    for (Block* block : blocks) {
      auto f = [this, block](const Tensor& input) { return block->forward(input, position); };
      x = recompute && (needs_grad(x) || block->learns()) ? checkpoint(f, x) : f(x);
    }
    return downsample ? downsample->forward(x) : x;
  }
};

}  // namespace rmt::nn
