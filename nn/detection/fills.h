// How the layers of detectors' heads begin.
#pragma once
#include "nn/linear.h"
#include "nn/pyramid/conv_module.h"

namespace rmt::nn {

// A convolution whose biases all begin at one value.
struct BiasedConv : Conv2d {
  double first_bias;
  BiasedConv(int64_t I, int64_t O, int64_t k, double b)
      : Conv2d(I, O, k, 1, k / 2, {.fill = fill_of_last}), first_bias(b) {}

 protected:
  void init_own(const std::function<Random()>& random) override {
    Conv2d::init_own(random);
    bias.fill(first_bias);
  }
};

// A linear layer with Glorot's weights and biases of 0.
struct GlorotLinear : Linear {
  using Linear::Linear;

 protected:
  void init_own(const std::function<Random()>& random) override {
    fill_xavier_uniform(weight, random());
    bias.fill(0);
  }
};

}  // namespace rmt::nn
