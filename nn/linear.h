// y = x w^T + b on the last dimension.  (..., I) -> (..., O)
#pragma once
#include "nn/init.h"
#include "nn/module.h"
#include "ops/linear.h"

namespace rmt::nn {

struct Linear : Module {
  Tensor& weight;  // (O, I)
  Tensor& bias;    // (O)
  Linear(int64_t I, int64_t O)
      : weight(parameter("weight", {O, I})), bias(parameter("bias", {O})) {}
  Tensor forward(const Tensor& x) { return ops::linear(x, weight, bias); }

 protected:
  void init_own(const std::function<Random()>& random) override {
    fill_normal(weight, random(), 0.02);
    bias.fill(0);
  }
};

}  // namespace rmt::nn
