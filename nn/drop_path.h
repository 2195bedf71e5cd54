// Stochastic depth: in training, a residual branch is left out for a whole sample with probability
// `rate`, else scaled by 1 / (1 - rate).
#pragma once
#include "nn/module.h"
#include "ops/drop_path.h"
#include "ops/residual_add.h"

namespace rmt::nn {

// The residual sum with its drop path: x + s_b gamma_c f, s_b = 0 or 1 / keep, a function of (seed,
// step, layer, sample) alone.
struct DropPath : Module {
  double rate;
  int64_t layer;  // no two of a model alike: gives each its own random numbers
  DropPath(double rate_, int64_t layer_) : rate(rate_), layer(layer_) {
    CHECK(rate >= 0 && rate < 1, "drop path rate ", rate, " is not in [0, 1)");
  }

  // x f (B, ..., C), gamma C elements or undefined
  Tensor forward(const Tensor& x, const Tensor& f, const Tensor& gamma = {}) {
    return ops::residual_add(x, f, gamma, factors(x));
  }

  // s (B), or undefined where nothing is dropped
  Tensor factors(const Tensor& x) {
    const Mode& m = mode();
    if (!m.training || rate == 0) return {};
    const Tensor step = x.device() == Device::cuda && m.step_on_gpu.defined()
                            ? m.step_on_gpu
                            : Tensor::full({}, double(m.step), DType::i64, x.device());
    Tensor s = Tensor::empty({x.dim(0)}, wide(x.dtype()), x.device());
    ops::drop_path_factors(s, step, {m.seed, layer, m.first_sample, rate});
    return s;
  }
};

}  // namespace rmt::nn
