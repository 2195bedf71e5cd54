// Initial values of parameters: two distributions, each a function of a stream of random numbers.
//
// A layer's output is a sum over its inputs, so its size grows with their number (fan_in) and with
// the weights' deviation. Which rule a layer follows decides how large activations are before
// anything is learned, and a trained result depends on it: we follow what the official model has
// when its constructor is done.
//
//   linear layers    weight N(0, 0.02^2), bias 0                            nn/linear.h
//   convolutions     weight and bias U(-u, u), u = 1 / sqrt(fan_in)         nn/conv.h
//   norms            weight 1, bias 0: at first they only normalise         nn/norm.h
//   LayerScale       1e-6: at first a scaled block is the identity          nn/rmt/block.h
//   necks and heads  as their convolutions ask (ConvOptions::fill), bias 0  nn/pyramid
//
// nn/rmt/README.md, "Initialisation", tells where the official code asks for more than it does.
#pragma once
#include <cmath>

#include "core/random.h"
#include "core/tensor.h"

namespace rmt::nn {

// Every element drawn from N(0, deviation^2). The numbers are drawn in double and rounded to x's
// dtype. (The official code also cuts at +-2, which at a deviation of 0.02 never happens.)
inline void fill_normal(const Tensor& x, Random random, double deviation) {
  Tensor values = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) values.data<double>()[i] = deviation * random.normal();
  x.copy_from(values);
}

// Every element drawn from U(-bound, bound), in double and rounded.
inline void fill_uniform(const Tensor& x, Random random, double bound) {
  Tensor values = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) values.data<double>()[i] = random.uniform(-bound, bound);
  x.copy_from(values);
}

// The bound of a convolution's initial weights and bias, 1 / sqrt(fan_in): a weight of (O, I, k, k)
// has fan_in = I k k inputs for each output.
inline double convolution_bound(const Tensor& weight) {
  return 1 / std::sqrt(double(weight.numel() / weight.dim(0)));
}

// A layer's own rule for its initial weights.
using Fill = void (*)(const Tensor& weight, Random random);

// He's rule by the outputs: N(0, 2 / (O k k)) for a weight (O, I, k, k), which keeps the size of
// gradients through a layer with a ReLU.
inline void fill_he_normal(const Tensor& weight, Random random) {
  const double fan_out = double(weight.numel() / weight.dim(1));
  fill_normal(weight, random, std::sqrt(2 / fan_out));
}

// Glorot's: U(-u, u) with u = sqrt(6 / (k k (I + O))) for (O, I, k, k), and likewise for (O, I).
inline void fill_xavier_uniform(const Tensor& weight, Random random) {
  const double taps = double(weight.numel() / (weight.dim(0) * weight.dim(1)));
  fill_uniform(weight, random, std::sqrt(6 / (taps * double(weight.dim(0) + weight.dim(1)))));
}

}  // namespace rmt::nn
