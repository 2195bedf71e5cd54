// Stochastic depth: in training, a residual branch is left out for a whole sample with probability `rate`, else scaled by 1 / (1 - rate).
#pragma once
#include "nn/module.h"
#include "ops/ops.h"

namespace rmt::nn {

// The residual sum with its drop path: x + s_b gamma_c f, s_b = 0 or 1 / keep, a function of (seed, step, layer, sample) alone.
struct DropPath : Module {
  double rate;
  int64_t layer;  // no two of a model alike: gives each its own random numbers
  DropPath(double rate_, int64_t layer_) : rate(rate_), layer(layer_) { CHECK(rate >= 0 && rate < 1, "drop path rate ", rate, " is not in [0, 1)"); }

  // x f (B, ..., C), gamma C elements or undefined
  Tensor forward(const Tensor& x, const Tensor& f, const Tensor& gamma = {}) { return ops::residual_add(x, f, gamma, factors(x.dim(0), x.dtype())); }

  // s (B), or undefined where nothing is dropped
  Tensor factors(int64_t B, DType dtype) {
    if (!mode().training || rate == 0) return {};
    Tensor s = Tensor::empty({B}, DType::f64);
    for (int64_t b = 0; b < B; ++b) {
      Random random(mode().seed, Purpose::drop_path, uint64_t(mode().step), uint64_t(layer << 24 | (mode().first_sample + b)));
      s.data<double>()[b] = random.uniform() < rate ? 0 : 1 / (1 - rate);
    }
    return s.to(dtype);
  }
};

}  // namespace rmt::nn
