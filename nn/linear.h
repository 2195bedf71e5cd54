// The linear layer: y = x w^T + b on the last dimension, the same for every token.
#pragma once
#include <array>

#include "nn/init.h"
#include "nn/module.h"
#include "ops/linear.h"

namespace rmt::nn {

// (..., I) -> (..., O)
class Linear : public Module {
  Tensor none_;  // what `bias` stands for where there is none

 public:
  Tensor& weight;           // (O, I)
  Tensor& bias;             // (O), or undefined
  double deviation = 0.02;  // of the initial weights
  Linear(int64_t I, int64_t O, bool with_bias = true)
      : weight(parameter("weight", {O, I})), bias(with_bias ? parameter("bias", {O}) : none_) {}
  Tensor forward(const Tensor& x) { return ops::linear(x, weight, bias); }

 protected:
  void init_own(const std::function<Random()>& random) override {
    fill_normal(weight, random(), deviation);
    if (bias.defined()) bias.fill(0);
  }
};

// q, k and v of one x: the results of three linear layers. Going through them together spares the
// backward pass two sums of tensors as large as x, because x's gradient is added up inside the
// matrix products.
inline std::array<Tensor, 3> forward_of_three(const Tensor& x, const Linear& q, const Linear& k,
                                              const Linear& v) {
  std::vector<Tensor> y = ops::linears(x, {q.weight, k.weight, v.weight}, {q.bias, k.bias, v.bias});
  return {y[0], y[1], y[2]};
}
// The same side by side: (..., 3C), by one product.
inline Tensor packed_of_three(const Tensor& x, const Linear& q, const Linear& k, const Linear& v) {
  return ops::packed_linears(x, {q.weight, k.weight, v.weight}, {q.bias, k.bias, v.bias});
}

}  // namespace rmt::nn
