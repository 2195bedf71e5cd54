// From pixels to tokens (Stem), blocks in a row (Stage), and from one resolution to half of it
// (Downsample): nn/rmt/README.md, "Stem and downsampling".
#pragma once
#include "autograd/checkpoint.h"
#include "nn/rmt/block.h"
#include "ops/norm_gelu_conv2d.h"

namespace rmt::nn {

// (B, H, W, 3) -> (B, H/4, W/4, C), sizes rounded up. Four 3x3 convolutions, the first and the
// third of stride 2, with batch norm after each and GELU between them.
struct Stem : Module {
  struct Layer {
    Conv2d& conv;
    BatchNorm& norm;
    Tensor* wanted(Tensor& moments) const { return norm.takes_batch() ? &moments : nullptr; }
  };
  std::vector<Layer> layers;

  // Without `convolutional` it is one convolution of non-overlapping 4x4 patches, and batch norm.
  Stem(int64_t C, bool convolutional) {
    if (!convolutional) {
      add_layer(0, 3, C, 4, 4, 0);
      return;
    }
    add_layer(0, 3, C / 2, 3, 2, 1);
    add_layer(3, C / 2, C / 2, 3, 1, 1);
    add_layer(6, C / 2, C, 3, 2, 1);
    add_layer(9, C, C, 3, 1, 1);
  }
  Tensor forward(Tensor x) {
    Tensor moments;  // of x, for the norm that comes next
    x = layers[0].conv.forward(x, layers[0].wanted(moments));
    for (size_t i = 1; i < layers.size(); ++i) {
      const Conv2d& conv = layers[i].conv;
      x = ops::norm_gelu_conv2d(x, layers[i - 1].norm.inputs(moments), conv.weight, conv.bias,
                                conv.stride, conv.pad, layers[i].wanted(moments));
    }
    return layers.back().norm.forward(x, moments);
  }

 private:
  // `place` is the convolution's in the official nn.Sequential, where GELUs have places too.
  void add_layer(int place, int64_t I, int64_t O, int64_t k, int64_t stride, int64_t pad) {
    Conv2d& conv = add<Conv2d>(str("proj.", place), I, O, k, stride, pad);
    layers.push_back({conv, add<BatchNorm>(str("proj.", place + 1), O)});
  }
};

// (B, H, W, C) -> (B, H/2, W/2, C'), sizes rounded up
struct Downsample : Module {
  Conv2d& reduction;
  BatchNorm& norm;
  Downsample(int64_t C, int64_t C_next)
      : reduction(add<Conv2d>("reduction", C, C_next, 3, 2, 1)),
        norm(add<BatchNorm>("norm", C_next)) {}
  Tensor forward(const Tensor& x) {
    Tensor moments;
    const Tensor y = reduction.forward(x, norm.takes_batch() ? &moments : nullptr);
    return norm.forward(y, moments);
  }
};

struct Stage : Module {
  Position& position;  // shared by the stage's blocks
  std::vector<Block*> blocks;
  Downsample* downsample = nullptr;  // null in the last stage
  bool recompute;

  // first_block: how many blocks of the model precede this stage.
  Stage(const RmtConfig& c, size_t stage, int64_t first_block)
      : position(add<Position>("Relpos", c.stages[stage])), recompute(c.recompute) {
    const StageConfig& s = c.stages[stage];
    for (int64_t i = 0; i < s.blocks; ++i)
      blocks.push_back(&add<Block>(str("blocks.", i), c, s, first_block + i));
    if (stage + 1 < c.stages.size())
      downsample = &add<Downsample>("downsample", s.channels, c.stages[stage + 1].channels);
  }

  // (B, H, W, C) -> (B, H/2, W/2, C'), in the last stage the same
  Tensor forward(const Tensor& x) {
    const Tensor y = forward_of_blocks(x);
    return downsample ? downsample->forward(y) : y;
  }
  // (B, H, W, C) -> same: what a pyramid takes from the stage.
  Tensor forward_of_blocks(Tensor x) {
    for (Block* block : blocks) {
      auto f = [this, block](const Tensor& input) { return block->forward(input, position); };
      x = recompute && (needs_grad(x) || block->learns()) ? checkpoint(f, x) : f(x);
    }
    return x;
  }
};

}  // namespace rmt::nn
