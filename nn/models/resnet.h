// A residual network (He et al., "Deep residual learning for image recognition", 2016) for small
// images and CPUs: no attention, two 3x3 convolutions a block. A convolution before a batch norm
// needs no bias, since the norm takes every constant away.
#pragma once
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/models/patches.h"
#include "nn/models/registry.h"
#include "nn/norm.h"
#include "ops/add.h"
#include "ops/mean_pool.h"
#include "ops/relu.h"

namespace rmt::nn {

// x <- relu(f(x) + x): two convolutions with their norms as f. Where the map is halved or the
// channels grow, x goes through a 1x1 convolution and a norm.
//   (B, H, W, I) -> (B, H / stride, W / stride, O), sizes rounded up
struct BasicBlock : Module {
  Conv2d& conv1;
  BatchNorm& bn1;
  Conv2d& conv2;
  BatchNorm& bn2;
  Conv2d* shortcut;  // or null
  BatchNorm* shortcut_norm;

  BasicBlock(int64_t I, int64_t O, int64_t stride)
      : conv1(add<Conv2d>("conv1", I, O, 3, stride, 1, ConvOptions{.bias = false})),
        bn1(add<BatchNorm>("bn1", O)),
        conv2(add<Conv2d>("conv2", O, O, 3, 1, 1, ConvOptions{.bias = false})),
        bn2(add<BatchNorm>("bn2", O)),
        shortcut(add_if<Conv2d>(I != O || stride > 1, "downsample.0", I, O, 1, stride, 0,
                                ConvOptions{.bias = false})),
        shortcut_norm(add_if<BatchNorm>(shortcut != nullptr, "downsample.1", O)) {}

  Tensor forward(const Tensor& x) {
    const Tensor f = ops::relu(bn1.forward(conv1.forward(x)));
    const Tensor trunk = shortcut ? shortcut_norm->forward(shortcut->forward(x)) : x;
    return ops::relu(ops::add(bn2.forward(conv2.forward(f)), trunk));
  }
};

// resnet_n: three stages of two blocks, 32, 64 and 128 channels. Images of any size.
struct ResNet : Classifier {
  Conv2d& conv1;
  BatchNorm& bn1;
  std::vector<BasicBlock*> blocks;
  Linear& fc;

  explicit ResNet(const ModelSettings& s)
      : conv1(add<Conv2d>("conv1", 3, kChannels[0], 3, 1, 1, ConvOptions{.bias = false})),
        bn1(add<BatchNorm>("bn1", kChannels[0])),
        blocks(add_blocks()),
        fc(add<Linear>("fc", kChannels[2], s.num_classes)) {
    s.expect_no_ablation("resnet_n");
    s.expect_no_recompute("resnet_n");
    s.expect_no_drop_path("resnet_n");
  }

  // images (B, H, W, 3) -> logits (B, K)
  Tensor forward(const Tensor& images) override {
    expect_images("resnet_n", images);
    Tensor x = ops::relu(bn1.forward(conv1.forward(images)));  // (B, H, W, 32)
    for (BasicBlock* block : blocks) x = block->forward(x);
    return fc.forward(ops::mean_pool(x));  // of (B, H/4, W/4, 128)
  }
  std::string classifier() const override { return "fc"; }

 private:
  static constexpr int64_t kChannels[] = {32, 64, 128};

  std::vector<BasicBlock*> add_blocks() {
    std::vector<BasicBlock*> out;
    int64_t before = kChannels[0];
    for (int stage = 0; stage < 3; ++stage)
      for (int i = 0; i < 2; ++i) {
        const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        out.push_back(
            &add<BasicBlock>(str("layer", stage + 1, ".", i), before, kChannels[stage], stride));
        before = kChannels[stage];
      }
    return out;
  }
};

}  // namespace rmt::nn
