// Convolutions on (B, H, W, C). Initial weights and biases are U(+-1 / sqrt(fan_in)), PyTorch's
// default, which the official code keeps for them.
#pragma once
#include "nn/init.h"
#include "nn/module.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"

namespace rmt::nn {

// k x k, stride, padding.  (B, H, W, I) -> (B, H', W', O)
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
    double bound = 1 / std::sqrt(double(weight.numel() / weight.dim(0)));
    fill_uniform(weight, random(), bound);
    fill_uniform(bias, random(), bound);
  }
};

// One k x k filter a channel, same size out.
struct DepthwiseConv : Module {
  Tensor& weight;  // (C, 1, k, k)
  Tensor& bias;    // (C)
  DepthwiseConv(int64_t C, int64_t k)
      : weight(parameter("weight", {C, 1, k, k})), bias(parameter("bias", {C})) {}
  // conv(x) + residual in one pass over memory
  Tensor forward(const Tensor& x, const Tensor& residual) {
    return ops::depthwise_conv2d(x, weight, bias, residual);
  }

 protected:
  void init_own(const std::function<Random()>& random) override {
    double bound = 1 / std::sqrt(double(weight.dim(2) * weight.dim(3)));
    fill_uniform(weight, random(), bound);
    fill_uniform(bias, random(), bound);
  }
};

}  // namespace rmt::nn
