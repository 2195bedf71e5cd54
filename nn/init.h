// Initial values (RMT.md 1.3).
#pragma once
#include <cmath>

#include "core/random.h"
#include "core/tensor.h"

namespace rmt::nn {

// N(0, deviation^2), cut at +-2: with the deviation of 0.02 used here the cut never acts, so it is
// left out.
inline void fill_normal(const Tensor& x, Random random, double deviation) {
  Tensor values = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) values.data<double>()[i] = deviation * random.normal();
  x.copy_from(values);
}

// U(-bound, bound)
inline void fill_uniform(const Tensor& x, Random random, double bound) {
  Tensor values = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) values.data<double>()[i] = random.uniform(-bound, bound);
  x.copy_from(values);
}

}  // namespace rmt::nn
