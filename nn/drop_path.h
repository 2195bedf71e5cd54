// Stochastic depth (Huang et al., 2016): in training a residual branch is left out for a whole
// sample with probability `rate`, and otherwise divided by 1 - rate, so that its mean stays.
//
//   y = x + s_b gamma_c f        s_b = 0 or 1 / (1 - rate) for sample b; always 1 in evaluation
#pragma once
#include "nn/module.h"
#include "ops/drop_path.h"
#include "ops/residual_add.h"

namespace rmt::nn {

// The residual sum with its drop path. s_b is a function of (seed, step, layer, sample) alone:
// neither the cut of a batch into parts nor the number of threads changes it.
struct DropPath : Module {
  double rate;
  int64_t layer;  // a number of its own for each DropPath of a model, so that they draw differently
  DropPath(double rate_, int64_t layer_) : rate(rate_), layer(layer_) {
    CHECK(rate >= 0 && rate < 1, "drop path rate ", rate, " is not in [0, 1)");
  }

  // x f (B, ..., C), gamma C elements or undefined (1) -> (B, ..., C)
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
