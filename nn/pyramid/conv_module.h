// What necks and heads are built of: a convolution, perhaps batch norm, and a ReLU.
#pragma once
#include "nn/conv.h"
#include "nn/norm.h"
#include "ops/relu.h"

namespace rmt::nn {

// The rule of the last convolution of a head, before training: N(0, 0.01^2), so that at first all
// classes are about equally likely.
inline void fill_of_last(const Tensor& weight, Random random) { fill_normal(weight, random, 0.01); }

// y = relu(norm(conv(x))); with the norm the convolution has no bias.
//   (B, H, W, I) -> (B, H, W, O), k odd
struct ConvModule : Module {
  Conv2d& conv;
  BatchNorm* bn;  // or null
  ConvModule(int64_t I, int64_t O, int64_t k, bool with_norm, Fill fill = fill_he_normal)
      : conv(add<Conv2d>("conv", I, O, k, 1, k / 2, ConvOptions{.bias = !with_norm, .fill = fill})),
        bn(add_if<BatchNorm>(with_norm, "bn", O)) {}
  Tensor forward(const Tensor& x) {
    const Tensor y = conv.forward(x);
    return ops::relu(bn ? bn->forward(y) : y);
  }
};

}  // namespace rmt::nn
