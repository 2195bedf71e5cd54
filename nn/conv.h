// Convolutions on (B, H, W, C): an output pixel is a weighted sum over the k x k pixels around it.
#pragma once
#include "nn/init.h"
#include "nn/module.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/gelu_depthwise_conv2d.h"

namespace rmt::nn {

// Every output channel sums over all input channels.
//   (B, H, W, I) -> (B, H', W', O) with H' = (H + 2 pad - k) / stride + 1, rounded down
struct Conv2d : Module {
  Tensor& weight;  // (O, I, k, k)
  Tensor& bias;    // (O)
  int64_t stride, pad;
  Conv2d(int64_t I, int64_t O, int64_t k, int64_t stride_, int64_t pad_)
      : weight(parameter("weight", {O, I, k, k})),
        bias(parameter("bias", {O})),
        stride(stride_),
        pad(pad_) {}
  Tensor forward(const Tensor& x) { return ops::conv2d(x, weight, bias, stride, pad); }

 protected:
  void init_own(const std::function<Random()>& random) override {
    fill_uniform(weight, random(), convolution_bound(weight));
    fill_uniform(bias, random(), convolution_bound(weight));
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
