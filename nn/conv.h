// Convolutions on (B, H, W, C): an output pixel is a weighted sum over the k x k pixels around it.
#pragma once
#include "nn/init.h"
#include "nn/module.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/gelu_depthwise_conv2d.h"

namespace rmt::nn {

struct ConvOptions {
  int64_t groups = 1;  // channels of group g in y see those of group g in x alone
  bool bias = true;
  Fill fill = nullptr;  // of the initial weights, with biases of 0; null: the usual one (nn/init.h)
};

// Every output channel sums over all input channels of its group.
//   (B, H, W, I) -> (B, H', W', O) with H' = (H + 2 pad - k) / stride + 1, rounded down
class Conv2d : public Module {
  Tensor none_;  // what `bias` stands for where there is none

 public:
  Tensor& weight;  // (O, I / groups, k, k)
  Tensor& bias;    // (O), or undefined
  int64_t stride, pad, groups;
  Fill fill;
  Conv2d(int64_t I, int64_t O, int64_t k, int64_t stride_, int64_t pad_, ConvOptions o = {})
      : weight(parameter("weight", {O, channels_of_group(I, O, o.groups), k, k})),
        bias(o.bias ? parameter("bias", {O}) : none_),
        stride(stride_),
        pad(pad_),
        groups(o.groups),
        fill(o.fill) {}
  // moments: of y, for a batch norm behind this (ops/conv2d.h).
  Tensor forward(const Tensor& x, Tensor* moments = nullptr) {
    return ops::conv2d(x, weight, bias, stride, pad, groups, moments);
  }

 protected:
  void init_own(const std::function<Random()>& random) override {
    if (fill) {
      fill(weight, random());
      if (bias.defined()) bias.fill(0);
      return;
    }
    fill_uniform(weight, random(), convolution_bound(weight));
    if (bias.defined()) fill_uniform(bias, random(), convolution_bound(weight));
  }

 private:
  static int64_t channels_of_group(int64_t I, int64_t O, int64_t groups) {
    CHECK(groups >= 1 && I % groups == 0 && O % groups == 0, "Conv2d: ", groups,
          " groups must divide ", I, " channels and ", O, " filters");
    return I / groups;
  }
};

// Every channel has one k x k filter of its own and sees no other channel; zeros around the image
// keep its size.  (B, H, W, C) -> same
struct DepthwiseConv : Module {
  Tensor& weight;  // (C, 1, k, k)
  Tensor& bias;    // (C)
  DepthwiseConv(int64_t C, int64_t k)
      : weight(parameter("weight", {C, 1, k, k})), bias(parameter("bias", {C})) {}

  // conv(x) + residual, in one pass over memory.
  Tensor forward(const Tensor& x, const Tensor& residual) {
    return ops::depthwise_conv2d(x, weight, bias, residual);
  }
  // conv(g) + g with g = gelu(x), in one pass over memory.
  Tensor forward_of_gelu(const Tensor& x) { return ops::gelu_depthwise_conv2d(x, weight, bias); }

 protected:
  void init_own(const std::function<Random()>& random) override {
    fill_uniform(weight, random(), convolution_bound(weight));
    fill_uniform(bias, random(), convolution_bound(weight));
  }
};

}  // namespace rmt::nn
