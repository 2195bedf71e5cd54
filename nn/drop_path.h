// Stochastic depth (Huang et al., 2016): in training a residual branch is left out for a whole
// sample with probability `rate`, and otherwise divided by 1 - rate, so that its mean stays.
//
//   y = x + s_b gamma_c f        s_b = 0 or 1 / (1 - rate) for sample b; always 1 in evaluation
#pragma once
#include <array>

#include "nn/module.h"
#include "ops/drop_path.h"

namespace rmt::nn {

// The factors of a block's two branches, drawn at once. s_b is a function of (seed, step, branch,
// sample) alone: neither the cut of a batch into parts nor the number of threads changes it.
struct DropPath : Module {
  double rate;
  int64_t block;  // its number in the model: blocks draw differently
  DropPath(double rate_, int64_t block_) : rate(rate_), block(block_) {
    CHECK(rate >= 0 && rate < 1, "drop path rate ", rate, " is not in [0, 1)");
  }

  // x (B, ...) -> (B) for either branch, or undefined where nothing is dropped
  std::array<Tensor, 2> factors(const Tensor& x) {
    const Mode& m = mode();
    if (!m.training || rate == 0) return {};
    const Tensor step = x.device() == Device::cuda && m.step_on_gpu.defined()
                            ? m.step_on_gpu
                            : Tensor::full({}, double(m.step), DType::i64, x.device());
    const int64_t B = x.dim(0);
    const Tensor s = Tensor::empty({2, B}, wide(x.dtype()), x.device());
    ops::drop_path_factors(s, step, {m.seed, 2 * block, m.first_sample, rate});
    return {s.slice(0, 1).view({B}), s.slice(1, 2).view({B})};
  }
};

}  // namespace rmt::nn
